//! ffi
#![forbid(unsafe_code)]
