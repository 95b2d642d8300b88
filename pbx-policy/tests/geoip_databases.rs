//! MaxMind's published test databases and damaged files, where `PBX_VECTORS` names a directory that holds
//! them under `geoip/` (B4).

use std::io::Write;
use std::path::{Path, PathBuf};

use pbx_policy::geo::GeoTable;

fn vectors() -> Option<PathBuf> {
    let dir = std::env::var_os("PBX_VECTORS").map(|d| Path::new(&d).join("geoip"));
    let found = dir.filter(|d| d.is_dir());
    if found.is_none() {
        let _ = writeln!(std::io::stderr(), "SKIP geoip: no databases of MaxMind; set PBX_VECTORS");
    }
    found
}

#[test]
fn b4_lookups_agree_with_the_published_answers() {
    let Some(dir) = vectors() else { return };
    let index: toml::Table = std::fs::read_to_string(dir.join("index.toml")).unwrap().parse().unwrap();
    let mut checked = 0;
    for file in index["file"].as_array().unwrap() {
        let name = file["file"].as_str().unwrap();
        let table = GeoTable::from_mmdb(&std::fs::read(dir.join(name)).unwrap());
        if name.contains("ASN") {
            assert!(table.unwrap_err().to_string().contains("holds no countries"));
            continue;
        }
        let table = table.unwrap();
        for case in file["lookup"].as_array().unwrap() {
            let got = table.get(case["ip"].as_str().unwrap().parse().unwrap()).map(|c| c.to_string());
            assert_eq!(got.unwrap_or_default(), case["country"].as_str().unwrap(), "{name} {case}");
            checked += 1;
        }
    }
    assert!(checked > 15, "only {checked} look-ups were checked");
}

#[test]
fn b4_no_damaged_database_is_used() {
    let Some(dir) = vectors() else { return };
    let mut checked = 0;
    for file in std::fs::read_dir(dir.join("bad-data")).unwrap() {
        let path = file.unwrap().path();
        let result = GeoTable::from_mmdb(&std::fs::read(&path).unwrap());
        assert!(result.is_err(), "{}", path.display());
        checked += 1;
    }
    assert!(checked > 10, "only {checked} files were read");
}
