//! `pbx sip check`: what a raw message is, and the outcome it is owed.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use pbx_sip::{Action, Fault, Frame, Framer, Message};
use serde::Serialize;

use crate::{output, uas};

#[derive(Debug, Subcommand)]
pub(crate) enum Args {
    /// Judge each file, one message a file.
    Check {
        /// The files; `-` for standard input.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// The files are byte streams (TCP): split them into messages first.
        #[arg(long)]
        stream: bool,
        /// Print one JSON object a message.
        #[arg(long)]
        json: bool,
        /// Exit with 1 when any message is refused.
        #[arg(long)]
        exit_code: bool,
    },
}

/// The most that is read of one file: a thousand of the longest messages.
const LONGEST: u64 = 64 << 20;

/// What is said of a message.
#[derive(Debug, Serialize)]
struct Judged {
    file: String,
    /// `request`, `response`, or null when it is neither.
    kind: Option<&'static str>,
    method: Option<String>,
    status: Option<u16>,
    /// `accept`, `drop`, `respond:` and a status; of streams also `wait` and `close`.
    outcome: String,
    why: Option<String>,
    section: Option<&'static str>,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args::Check { files, stream, json, exit_code } = args;
    let mut refused = false;
    for file in files {
        let bytes = read(&file)?;
        let name = file.display().to_string();
        let judged = if stream { judge_stream(&name, &bytes) } else { vec![judge(&name, &bytes)] };
        for judged in judged {
            refused |= judged.outcome != "accept";
            output::line(if json { serde_json::to_string(&judged)? } else { judged.to_string() });
        }
    }
    Ok(if refused && exit_code { ExitCode::from(super::EXIT_REFUSED) } else { ExitCode::SUCCESS })
}

fn read(file: &PathBuf) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if file.as_os_str() == "-" {
        std::io::stdin().take(LONGEST).read_to_end(&mut bytes).context("cannot read standard input")?;
    } else {
        let open = std::fs::File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
        open.take(LONGEST)
            .read_to_end(&mut bytes)
            .with_context(|| format!("cannot read {}", file.display()))?;
    }
    Ok(bytes)
}

fn judge(file: &str, bytes: &[u8]) -> Judged {
    match Message::parse(bytes) {
        Ok(message) => judge_parsed(file, &message),
        Err(fault) => judge_fault(file, &fault),
    }
}

fn judge_fault(file: &str, fault: &Fault<'_>) -> Judged {
    let outcome = match fault.action() {
        Action::Respond(status) => format!("respond:{status}"),
        Action::CloseStream => "close".to_owned(),
        _ => "drop".to_owned(),
    };
    Judged {
        file: file.to_owned(),
        kind: None,
        method: None,
        status: None,
        outcome,
        why: Some(fault.malformed().to_string()),
        section: None,
    }
}

fn judge_parsed(file: &str, message: &Message<'_>) -> Judged {
    let objection = if message.is_request() { uas::objection(message) } else { uas::misdirected(message) };
    Judged {
        file: file.to_owned(),
        kind: Some(if message.is_request() { "request" } else { "response" }),
        method: Some(message.method().to_string()),
        status: message.status(),
        outcome: match objection.map(|o| o.status) {
            None => "accept".to_owned(),
            Some(0) => "drop".to_owned(),
            Some(status) => format!("respond:{status}"),
        },
        why: objection.map(|o| o.why.to_owned()),
        section: objection.map(|o| o.section),
    }
}

fn judge_stream(file: &str, bytes: &[u8]) -> Vec<Judged> {
    let mut framer = Framer::new();
    let mut input = bytes;
    let mut out = Vec::new();
    while let Some(frame) = framer.poll_frame(&mut input) {
        let name = format!("{file}#{}", out.len() + 1);
        match frame {
            Frame::Message(message) => out.push(judge(&name, message)),
            Frame::Fault(fault) => out.push(judge_fault(&name, &fault)),
            _ => {}
        }
    }
    if framer.pending() > 0 {
        out.push(Judged {
            file: format!("{file}#{}", out.len() + 1),
            kind: None,
            method: None,
            status: None,
            outcome: "wait".to_owned(),
            why: Some(format!("{} bytes of an unfinished message", framer.pending())),
            section: None,
        });
    }
    out
}

impl std::fmt::Display for Judged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = match (self.kind, &self.method, self.status) {
            (Some("response"), Some(method), Some(status)) => format!("response {status} to {method}"),
            (Some(kind), Some(method), _) => format!("{kind} {method}"),
            _ => "not a message".to_owned(),
        };
        write!(f, "{}: {what}: {}", self.file, self.outcome)?;
        if let Some(why) = &self.why {
            write!(f, " ({why}")?;
            self.section.map_or(Ok(()), |s| write!(f, ", {s}"))?;
            write!(f, ")")?;
        }
        Ok(())
    }
}
