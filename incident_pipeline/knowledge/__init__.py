"""Between incidents and the knowledge base: what it is fed with, asked, lacks, and what people say of it."""
