//! Values that must not be shown.

use core::fmt;

use zeroize::Zeroize;

/// A value that is wiped when dropped and cannot be printed, compared or serialised by accident.
///
/// ```
/// use pbx_core::Secret;
/// let s = Secret::new(String::from("hunter2"));
/// assert_eq!(format!("{s:?}"), "Secret(..)");
/// assert_eq!(s.expose(), "hunter2");
/// ```
///
/// It has no `Display` and no `Serialize`:
/// ```compile_fail
/// println!("{}", pbx_core::Secret::new(String::from("x")));
/// ```
/// ```compile_fail
/// serde_json::to_string(&pbx_core::Secret::new(String::from("x"))).unwrap();
/// ```
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Takes the value over.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, for the one place that needs it.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize + Clone> Clone for Secret<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}
