//! Media of a PBX without I/O: SRTP, SDP and a relay of two legs will live here.
//!
//! Nothing does yet: calls through the example PBX send their media directly from phone to phone. The crate
//! exists so that its name, its place beside its siblings and its dependency on `pbx-core` alone are fixed.
#![forbid(unsafe_code)]
