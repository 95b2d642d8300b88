//! Why a command of the embedder was not carried out.

use pbx_core::Transport;

use crate::message::write::WriteError;

/// Why a command was not carried out; nothing was sent and nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The transaction or the dialog has ended.
    #[error("the transaction or dialog has ended")]
    Gone,
    /// What is asked for is not possible now: a second final response, an INVITE while another one is
    /// unanswered, an ACK to nothing.
    #[error("not possible in this state: {0}")]
    State(&'static str),
    /// A status outside of what the command takes.
    #[error("the status {0} is not possible here")]
    Status(u16),
    /// A text that cannot be written, e.g. a header value with a line end.
    #[error(transparent)]
    Text(#[from] WriteError),
    /// A header field that the endpoint writes itself, such as Via or CSeq.
    #[error("the endpoint writes this header field itself")]
    Reserved,
    /// The configuration advertises no address for the transport.
    #[error("no address is advertised for {0}")]
    NoAddress(Transport),
    /// As many transactions or dialogs as there may be.
    #[error("as many transactions or dialogs as there may be")]
    Full,
}
