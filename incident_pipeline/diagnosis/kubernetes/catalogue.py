"""The mechanisms that a look at the cluster can name: what kind of cause each is, and what to do.

Belongs here: the table. Does not belong here: recognising any of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from incident_pipeline.models import Category

_CONFIG = Category.CONFIGURATION_ERROR
_CAPACITY = Category.CAPACITY_PROBLEM
_DEPENDENCY = Category.DEPENDENCY_FAILURE
_DEPLOYMENT = Category.DEPLOYMENT_ISSUE


@dataclass(frozen=True)
class Mechanism:
    """One way in which a cluster breaks."""

    slug: str
    category: Category
    action: str
    cannot_explain: str
    """What would have to have another cause."""


_STARTS = "pods that started before and still run"
_OTHERS = "trouble of apps that neither run this nor call it"

MECHANISMS: dict[str, Mechanism] = {
    slug: Mechanism(slug, category, action, cannot)
    for slug, category, action, cannot in (
        (
            "namespace_cpu_quota_exceeded",
            _CAPACITY,
            "Raise the quota on CPU of namespace {name}, or lower requests in it",
            _STARTS,
        ),
        (
            "namespace_memory_quota_exceeded",
            _CAPACITY,
            "Raise the quota on memory of namespace {name}, or lower requests in it",
            _STARTS,
        ),
        (
            "namespace_pod_quota_exceeded",
            _CAPACITY,
            "Raise the quota on pods of namespace {name}, or remove pods that nobody needs",
            _STARTS,
        ),
        (
            "namespace_service_quota_exceeded",
            _CAPACITY,
            "Raise the quota on services of namespace {name} and create the missing service",
            _STARTS,
        ),
        (
            "namespace_storage_quota_exceeded",
            _CAPACITY,
            "Raise the quota on storage of namespace {name}, or release claims",
            _STARTS,
        ),
        (
            "missing_service_account",
            _CONFIG,
            "Create the service account that {name} names, or name one that exists",
            _STARTS,
        ),
        ("admission_refused", _CONFIG, "Make the pod template of {name} meet the policy that refuses it", _STARTS),
        ("node_cordon_mismatch", _CONFIG, "Uncordon the node that fits {name}, or let it run elsewhere", _STARTS),
        ("node_affinity_mismatch", _CONFIG, "Correct the node affinity of {name}, or label a node", _STARTS),
        ("node_selector_mismatch", _CONFIG, "Correct the node selector of {name}, or label a node", _STARTS),
        ("pod_anti_affinity_conflict", _CONFIG, "Make the anti-affinity of {name} preferred, or add a node", _STARTS),
        ("taint_toleration_mismatch", _CONFIG, "Add the toleration to {name}, or remove the taint", _STARTS),
        (
            "cpu_capacity_mismatch",
            _CAPACITY,
            "Lower the CPU request of {name} to what a node has free, or add a larger node",
            _STARTS,
        ),
        (
            "memory_capacity_mismatch",
            _CAPACITY,
            "Lower the memory request of {name} to what a node has free, or add a larger node",
            _STARTS,
        ),
        ("pv_binding_occupied", _CONFIG, "Give {name} a volume of its own, or release the one that is bound", _STARTS),
        ("pvc_selector_mismatch", _CONFIG, "Correct the selector of the claim of {name}, or label a volume", _STARTS),
        ("pvc_storage_class_mismatch", _CONFIG, "Correct the storage class of the claim of {name}", _STARTS),
        (
            "pvc_capacity_mismatch",
            _CONFIG,
            "Lower what the claim of {name} asks for, or provide a larger volume",
            _STARTS,
        ),
        ("pvc_access_mode_mismatch", _CONFIG, "Correct the access mode of the claim of {name}", _STARTS),
        (
            "volume_mount_permission_denied",
            _CONFIG,
            "Set fsGroup or runAsUser of {name} so that it may use its volume",
            _OTHERS,
        ),
        (
            "missing_secret_binding",
            _CONFIG,
            "Create the secret that {name} refers to, or correct the reference",
            _STARTS,
        ),
        (
            "missing_config_map",
            _CONFIG,
            "Create the config map that {name} refers to, or correct the reference",
            _STARTS,
        ),
        ("incorrect_image_reference", _DEPLOYMENT, "Roll {name} back to the image that ran before", _STARTS),
        (
            "image_registry_dns_failure",
            _DEPENDENCY,
            "Correct the registry of the image of {name}, or the resolver of the nodes",
            _STARTS,
        ),
        ("missing_image_pull_secret", _CONFIG, "Give {name} the pull secret of its registry", _STARTS),
        ("oom_killed", _CAPACITY, "Raise the memory limit of {name}, or roll back what made it grow", _OTHERS),
        ("liveness_probe_incorrect_protocol", _CONFIG, "Correct the protocol of the liveness probe of {name}", _OTHERS),
        ("liveness_probe_incorrect_port", _CONFIG, "Correct the port of the liveness probe of {name}", _OTHERS),
        ("liveness_probe_incorrect_timing", _CONFIG, "Give the liveness probe of {name} more time", _OTHERS),
        (
            "readiness_probe_incorrect_protocol",
            _CONFIG,
            "Correct the protocol of the readiness probe of {name}",
            _OTHERS,
        ),
        ("readiness_probe_incorrect_port", _CONFIG, "Correct the port of the readiness probe of {name}", _OTHERS),
        ("service_sidecar_port_conflict", _CONFIG, "Give the sidecar of {name} a port of its own", _OTHERS),
        ("mysql_invalid_credentials", _CONFIG, "Correct the database user or password of {name}", _OTHERS),
        ("mysql_invalid_port", _CONFIG, "Correct the database port of {name}", _OTHERS),
        ("db_read_only", _CONFIG, "Make {name} accept writes again", "reads that fail"),
        ("db_connection_exhaustion", _CAPACITY, "Free connections of {name}, or raise its limit", _OTHERS),
        (
            "container_crash",
            Category.CODE_BUG,
            "Read the last lines of {name} before it ended; roll back if a release came before",
            _OTHERS,
        ),
        (
            "differs_from_siblings",
            _DEPLOYMENT,
            "Undo what the template of {name} has otherwise than what is well, or roll {name} back",
            _OTHERS,
        ),
        ("deployment_zero_replicas", _CONFIG, "Scale {name} up again", _OTHERS),
        ("service_selector_mismatch", _CONFIG, "Correct the selector of the service {name}", _OTHERS),
        ("service_port_mapping_mismatch", _CONFIG, "Correct the target port of the service {name}", _OTHERS),
        ("service_protocol_mismatch", _CONFIG, "Correct the protocol of the service {name}", _OTHERS),
        ("service_missing", _CONFIG, "Create the service {name}", _OTHERS),
        ("service_env_var_address_mismatch", _CONFIG, "Correct the address in the environment of {name}", _OTHERS),
        ("gateway_misroute", _CONFIG, "Correct the route to {name} in the gateway", _OTHERS),
        (
            "ingress_backend_missing",
            _CONFIG,
            "Correct the service or port that the ingress names for {name}, or create it",
            "calls that do not come through the ingress",
        ),
        ("service_dns_resolution_failure", _DEPENDENCY, "Correct the name server of the pods of {name}", _OTHERS),
        ("network_policy_blocks", _CONFIG, "Allow the callers of {name} in its network policy", _OTHERS),
        ("pod_cpu_overload", _CAPACITY, "Find what uses the CPU of {name}; restart or scale it", _OTHERS),
        (
            "autoscaler_at_maximum",
            _CAPACITY,
            "Raise the maximum of the autoscaler of {name}, or find what loads it",
            _OTHERS,
        ),
        (
            "autoscaler_without_metrics",
            _CONFIG,
            "Bring back the metrics that the autoscaler of {name} reads; scale by hand until then",
            _OTHERS,
        ),
        (
            "pod_network_delay",
            _DEPENDENCY,
            "Check the network of the pods of {name}; move them to another node",
            _OTHERS,
        ),
        (
            "containerd_unavailable",
            _DEPENDENCY,
            "Start the container runtime on {name}, or move the work off it",
            "trouble of apps with no pod on the node",
        ),
        (
            "kubelet_unavailable",
            _DEPENDENCY,
            "Start the kubelet on {name}, or move the work off it",
            "trouble of apps with no pod on the node",
        ),
        (
            "kube_proxy_unavailable",
            _DEPENDENCY,
            "Start kube-proxy on {name}",
            "trouble of apps with no pod on the node",
        ),
        ("kube_scheduler_unavailable", _DEPENDENCY, "Start the scheduler on {name}", _STARTS),
        (
            "node_not_ready",
            _DEPENDENCY,
            "Look at {name}; move the work off it",
            "trouble of apps with no pod on the node",
        ),
        (
            "node_network_delay",
            _DEPENDENCY,
            "Check the network of {name}; move the work off it",
            "trouble of apps with no pod on the node",
        ),
        (
            "node_network_packet_loss",
            _DEPENDENCY,
            "Check the network of {name}; move the work off it",
            "trouble of apps with no pod on the node",
        ),
    )
}
