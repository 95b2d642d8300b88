//! `pbx reasons`: the catalogue.

use std::process::ExitCode;

use pbx_core::Reason;
use serde::Serialize;

use crate::output;

#[derive(Serialize)]
struct Row {
    code: u16,
    name: &'static str,
    layer: &'static str,
    meaning: &'static str,
    sip_status: Option<u16>,
    q850_cause: Option<u8>,
}

impl From<Reason> for Row {
    fn from(r: Reason) -> Self {
        Self {
            code: r.code(),
            name: r.name(),
            layer: r.layer().name(),
            meaning: r.meaning(),
            sip_status: r.sip_status(),
            q850_cause: r.q850_cause(),
        }
    }
}

pub(super) fn run(json: bool) -> anyhow::Result<ExitCode> {
    let rows = Reason::ALL.iter().copied().map(Row::from);
    if json {
        for row in rows {
            output::line(serde_json::to_string(&row)?);
        }
        return Ok(ExitCode::SUCCESS);
    }
    output::line(format_args!(
        "{:<5} {:<26} {:<13} {:>4} {:>5}  {}",
        "code", "name", "layer", "SIP", "Q.850", "meaning"
    ));
    for row in rows {
        let sip = row.sip_status.map_or_else(|| "-".to_owned(), |s| s.to_string());
        let q850 = row.q850_cause.map_or_else(|| "-".to_owned(), |c| c.to_string());
        output::line(format_args!(
            "{:<5} {:<26} {:<13} {sip:>4} {q850:>5}  {}",
            row.code, row.name, row.layer, row.meaning
        ));
    }
    Ok(ExitCode::SUCCESS)
}
