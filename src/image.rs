//! OCI image references.
