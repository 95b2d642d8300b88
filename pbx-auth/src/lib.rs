//! SIP digest, passwords, PINs and second factors for a PBX.
//!
//! Nothing here does I/O or keeps score: what was typed or received goes in, what it is worth comes out, and
//! whoever counts attempts is told. Time and randomness are arguments ([`pbx_core::Now`],
//! [`pbx_core::Random`]); what has to be stored is handed back as a value.
//!
//! | to verify | use |
//! | --- | --- |
//! | SIP requests | [`digest`] with [`Ha1`], made from a [`SipSecret`] |
//! | what people type | [`Password`] with [`PasswordHash`], in a [`VerifyJob`] |
//! | what people dial | [`Pin`] with [`PinKey`] |
//! | codes of an authenticator app | [`Totp`] |
//!
//! A [`SipSecret`] and a [`Password`] are different types on purpose: digest needs a stored equivalent of its
//! secret, so a secret of digest must be one that opens nothing else.
#![forbid(unsafe_code)]

mod credential;
pub mod digest;
mod hex;
mod password;
mod pin;
mod totp;

pub use credential::{CredentialError, Ha1, SipSecret};
pub use password::{HashJob, Password, PasswordError, PasswordHash, PasswordOutcome, VerifyJob};
pub use pin::{Pin, PinError, PinHash, PinKey, Trivial};
pub use totp::{Totp, TotpAlgorithm, TotpCommit, TotpError, TotpOutcome};
