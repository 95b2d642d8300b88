//! What the README shows is what there is.

use std::path::Path;
use std::process::Command;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The fenced block of the README that follows `marker`.
fn block(readme: &str, fence: &str) -> String {
    let start = readme.find(&format!("```{fence}\n")).unwrap() + fence.len() + 4;
    let length = readme[start..].find("\n```").unwrap();
    readme[start..start + length].to_owned()
}

#[test]
fn the_ten_lines_are_those_of_the_example() {
    let example = read("examples/guard_a_socket.rs");
    let lines = block(&read("../../README.md"), "rust");
    assert!(lines.lines().count() <= 12);
    for line in lines.lines() {
        assert!(example.contains(line.trim()), "not in the example: {line}");
    }
}

#[test]
fn the_answer_shown_is_the_answer_given() {
    let folder = std::env::temp_dir().join(format!("pbx-readme-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let config = folder.join("pbx.toml");
    let pbx = env!("CARGO_BIN_EXE_pbx");
    assert!(Command::new(pbx).args(["config", "init"]).arg(&config).output().unwrap().status.success());
    let out = Command::new(pbx)
        .args(["check", "outbound", "--extension", "1001", "--dial", "005491112345678", "--config"])
        .arg(&config)
        .output()
        .unwrap();
    let said = String::from_utf8(out.stdout).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(said.trim(), block(&read("../../README.md"), "text").trim());
}

#[test]
fn every_feature_stands_in_the_table_with_its_state() {
    let readme = read("../../README.md");
    let counts =
        [('A', 10), ('B', 13), ('C', 8), ('D', 10), ('E', 14), ('F', 2), ('G', 4), ('H', 8), ('I', 6)];
    for (letter, count) in counts {
        for number in 1..=count {
            let row = readme.lines().find(|l| l.starts_with(&format!("| {letter}{number} |")));
            let row = row.unwrap_or_else(|| panic!("{letter}{number} is missing"));
            let state = row.split('|').nth(3).unwrap().trim();
            assert!(["works", "partly", "not yet"].contains(&state), "{row}");
        }
    }
}
