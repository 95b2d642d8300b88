//! Bounded tables over atomic words.
