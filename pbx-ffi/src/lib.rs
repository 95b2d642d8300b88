//! The C boundary of the PBX security SDK: `pbx.h` and the functions behind it will live here.
//!
//! Nothing does yet. The crate exists so that its name and its place above its siblings are fixed; it is one of
//! the two rooms in which `unsafe` will be allowed, and while it needs none it forbids it.
#![forbid(unsafe_code)]
