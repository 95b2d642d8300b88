//! The commands, as scripts and administrators use them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pbx-cli-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn config(&self, text: &str) -> PathBuf {
        let file = self.0.join("pbx.toml");
        std::fs::write(&file, text).unwrap();
        file
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn pbx(args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_pbx"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that stops reading early closes the pipe; what it says then is what is tested.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn path(file: &Path) -> &str {
    file.to_str().unwrap()
}

/// The last line of output as JSON.
fn json(out: &Output) -> Value {
    let stdout = text(&out.stdout);
    serde_json::from_str(stdout.lines().last().unwrap_or_default())
        .unwrap_or_else(|e| panic!("{e}: {stdout}\n{}", text(&out.stderr)))
}

/// The commented example as a file.
fn template(folder: &Folder) -> PathBuf {
    let file = folder.0.join("pbx.toml");
    assert!(pbx(&["config", "init", path(&file)], b"").status.success());
    file
}

#[test]
fn a_configuration_is_made_checked_and_never_overwritten() {
    let folder = Folder::new("init");
    let file = template(&folder);
    let out = pbx(&["config", "check", path(&file)], b"");
    assert!(out.status.success(), "{}", text(&out.stderr));
    assert!(text(&out.stdout).contains("valid; 2 extensions"));
    let again = pbx(&["config", "init", path(&file)], b"");
    assert_eq!(again.status.code(), Some(2));
    assert!(text(&again.stderr).contains("left alone"));
}

#[test]
fn mistakes_in_a_configuration_say_what_to_write() {
    let folder = Folder::new("mistakes");
    for (config, expected) in [
        ("[[extension]]\nnumber = \"1\"\nregistraton = {}\n", "did you mean \"registration\"?"),
        ("[network]\ndefault = \"acept\"\n", "accept, drop"),
        ("[pbx]\nlisten = [\"5060\"]\n", "pbx.listen[0]"),
        (
            "[[route]]\nname = \"r\"\ntrunks = [\"provder\"]\n[[trunk]]\nname = \"provider\"\naddress = \"a\"\n",
            "did you mean \"provider\"?",
        ),
        (
            "[network.country]\nenabled = true\ndatabase = \"nowhere.mmdb\"\nallowed = [\"DE\"]\n",
            "nowhere.mmdb",
        ),
        (
            "[[extension]]\nnumber = \"112\"\n[[trunk]]\nname = \"t\"\naddress = \"a\"\n[[emergency]]\nname = \"e\"\nnumber = \"112\"\ntrunk = [{ trunk = \"t\" }]\n",
            "112",
        ),
        (
            "[network]\ndefault = \"drop\"\nmanagement = []\nlan = []\nadmin = [\"203.0.113.5\"]\n",
            "203.0.113.5",
        ),
    ] {
        let out = pbx(&["config", "check", path(&folder.config(config))], b"");
        let said = text(&out.stderr);
        assert_eq!(out.status.code(), Some(2), "{config}: {}{said}", text(&out.stdout));
        assert!(said.contains(expected), "{config}: {said}");
    }
}

#[test]
fn a_broken_country_database_is_refused_with_what_to_do() {
    let folder = Folder::new("geo");
    std::fs::write(folder.0.join("broken.mmdb"), b"\xab\xcd\xefMaxMind.com no database").unwrap();
    let config =
        folder.config("[network.country]\nenabled = true\ndatabase = \"broken.mmdb\"\nallowed = [\"DE\"]\n");
    let out = pbx(&["config", "check", path(&config)], b"");
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out.stderr).contains("network.country.enabled = false"), "{}", text(&out.stderr));
}

#[test]
fn every_reason_is_listed() {
    let out = pbx(&["reasons", "--json"], b"");
    let rows: Vec<Value> = text(&out.stdout).lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(rows.len(), pbx_core::Reason::ALL.len());
    let row = rows.iter().find(|r| r["code"] == 2309).unwrap();
    assert_eq!(row["name"], "country_not_allowed");
    assert!(text(&pbx(&["reasons"], b"").stdout).contains("country_not_allowed"));
}

#[test]
fn e8_a_forbidden_country_is_refused_and_explained() {
    let folder = Folder::new("outbound");
    let config = template(&folder);
    let ask = |dial: &str| {
        let at = "2026-03-02T10:00:00Z";
        pbx(
            &[
                "check",
                "outbound",
                "--config",
                path(&config),
                "--extension",
                "1001",
                "--dial",
                dial,
                "--at",
                at,
                "--json",
                "--exit-code",
            ],
            b"",
        )
    };
    let refused = ask("005491112345678");
    let decision = json(&refused);
    assert_eq!(refused.status.code(), Some(1), "{decision}");
    assert_eq!(decision["ask"], "outbound");
    assert_eq!(decision["verdict"], "reject");
    assert_eq!(decision["reason"], "country_not_allowed");
    assert_eq!(decision["code"], 2309);
    assert_eq!(decision["rule"], "country:AR");
    assert_eq!(decision["extension"], "1001");
    assert_eq!(decision["sip_status"], 403);
    assert_eq!(decision["at"], "2026-03-02T10:00:00Z");
    assert!(decision["why"].as_str().unwrap().contains("Argentina"), "{decision}");
    assert!(decision["trace"].as_array().unwrap().len() > 3);

    let allowed = ask("00442079460000");
    assert_eq!(allowed.status.code(), Some(0), "{}", json(&allowed));
    assert_eq!(json(&allowed)["trunks"], serde_json::json!(["provider"]));

    for emergency in ["112", "0112"] {
        let decision = json(&ask(emergency));
        assert_eq!(
            (&decision["verdict"], &decision["reason"]),
            (&"allow".into(), &"emergency".into()),
            "{decision}"
        );
    }
}

#[test]
fn c7_a_remote_registration_is_refused_and_a_local_one_is_not() {
    let folder = Folder::new("register");
    let config = template(&folder);
    let ask = |source: &str| {
        json(&pbx(
            &[
                "check",
                "register",
                "--config",
                path(&config),
                "--extension",
                "1001",
                "--source",
                source,
                "--user-agent",
                "x",
                "--json",
            ],
            b"",
        ))
    };
    assert_eq!(ask("203.0.113.9:5060")["reason"], "remote_not_allowed");
    assert_eq!(ask("192.168.1.20:5060")["verdict"], "allow");
}

#[test]
fn c1_a_timeline_locks_the_pair_at_the_tenth_failure_and_nobody_else() {
    let folder = Folder::new("simulate");
    let config = folder.config("[[extension]]\nnumber = \"1001\"\nregistration = { remote = true }\n");
    let auth = |second: u32, source: &str, outcome: &str| {
        format!(
            "{{\"at\":\"2026-03-02T10:00:{second:02}Z\",\"ask\":\"auth\",\"kind\":\"registration\",\"account\":\"1001\",\"source\":\"{source}:5060\",\"contact\":\"sip:1001@{source}\",\"nonce\":\"n{second}\",\"response\":\"r{second}\",\"outcome\":\"{outcome}\"}}\n"
        )
    };
    let mut timeline: String = (0..11).map(|i| auth(i, "203.0.113.9", "bad_credentials")).collect();
    timeline += &auth(20, "203.0.113.9", "success");
    timeline += &auth(21, "198.51.100.4", "success");
    let out = pbx(&["simulate", "--config", path(&config)], timeline.as_bytes());
    assert!(out.status.success(), "{}", text(&out.stderr));
    let answers: Vec<Value> = text(&out.stdout).lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(answers.len(), 13);
    let blocks: Vec<usize> =
        (0..13).filter(|&i| !answers[i]["blocks"].as_array().unwrap().is_empty()).collect();
    assert_eq!(blocks, [9], "the tenth failure makes the block, and it alone");
    assert_eq!(answers[10]["reason"], "pair_locked");
    assert_eq!(answers[11]["reason"], "pair_locked", "even with the right secret");
    assert_eq!(answers[12]["verdict"], "allow", "the user elsewhere keeps working");
}

#[test]
fn a_mistake_in_a_timeline_names_its_line() {
    let folder = Folder::new("line");
    let config = folder.config("");
    let timeline = "{\"at\":\"2026-03-02T10:00:00Z\",\"ask\":\"tick\"}\n{\"at\":\"2026-03-02T10:00:01Z\",\"ask\":\"tock\"}\n";
    let out = pbx(&["simulate", "--config", path(&config)], timeline.as_bytes());
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out.stderr).contains("line 2"), "{}", text(&out.stderr));
    let back = "{\"at\":\"2026-03-02T10:00:01Z\",\"ask\":\"tick\"}\n{\"at\":\"2026-03-02T10:00:00Z\",\"ask\":\"tick\"}\n";
    assert!(text(&pbx(&["simulate", "--config", path(&config)], back.as_bytes()).stderr).contains("line 2"));
}

const OPTIONS: &str = "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP c;branch=z9hG4bK1\r\nFrom: <sip:d@e>;tag=f\r\nTo: <sip:a@b>\r\nCall-ID: g\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nl: 0\r\n\r\n";

#[test]
fn raw_messages_are_judged() {
    let outcome =
        |message: &str| json(&pbx(&["sip", "check", "-", "--json"], message.as_bytes()))["outcome"].clone();
    assert_eq!(outcome(OPTIONS), "accept");
    assert_eq!(outcome(&OPTIONS.replace("1 OPTIONS", "1 INVITE")), "respond:400");
    assert_eq!(outcome(&OPTIONS.replace("SIP/2.0\r\nVia", "SIP/7.0\r\nVia")), "respond:505");
    assert_eq!(outcome(&OPTIONS.replace("OPTIONS", "FROBNICATE")), "respond:501");
    assert_eq!(outcome(&OPTIONS.replace("Max-Forwards", "Require: x\r\nMax-Forwards")), "respond:420");
    assert_eq!(outcome("garbage"), "drop");
    let stream = format!("{OPTIONS}{OPTIONS}OPTIONS sip:a@b SIP/2.0\r\n");
    let out = text(&pbx(&["sip", "check", "-", "--stream", "--json"], stream.as_bytes()).stdout);
    let outcomes: Vec<Value> =
        out.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()["outcome"].clone()).collect();
    assert_eq!(outcomes, ["accept", "accept", "wait"]);
}

#[test]
fn secrets_are_set_from_standard_input_and_never_shown() {
    let folder = Folder::new("user");
    let config = template(&folder);
    let args = ["user", "passwd", "--config", path(&config), "1001"];
    let out = pbx(&args, b"canary-secret\n");
    assert!(out.status.success(), "{}", text(&out.stderr));
    assert!(!text(&out.stdout).contains("canary"));
    let kept = std::fs::read_to_string(folder.0.join("pbx-data/secrets.toml")).unwrap();
    assert!(kept.contains("1001") && !kept.contains("canary"));
    assert_eq!(pbx(&args, b"short\n").status.code(), Some(2));
    assert_eq!(
        pbx(&["user", "passwd", "--config", path(&config), "9"], b"canary-secret\n").status.code(),
        Some(2)
    );
}

#[test]
fn b12_intrusion_prevention_is_on_without_being_asked_for() {
    let folder = Folder::new("default");
    let config = folder.config("[[extension]]\nnumber = \"1001\"\n");
    let packet = "{\"at\":\"2026-03-02T10:00:00Z\",\"ask\":\"packet\",\"source\":\"203.0.113.9:5060\",\"service\":\"sip\"}\n";
    let out = pbx(&["simulate", "--config", path(&config)], packet.repeat(42).as_bytes());
    let verdicts: Vec<Value> = text(&out.stdout)
        .lines()
        .map(|l| serde_json::from_str::<Value>(l).unwrap()["verdict"].clone())
        .collect();
    let allowed = verdicts.iter().filter(|v| *v == "allow").count();
    assert_eq!((allowed, &verdicts[40], &verdicts[41]), (40, &"drop".into(), &"drop".into()));
}

#[test]
fn c3_secrets_are_random_and_strong_and_shown_once() {
    let folder = Folder::new("random");
    let config = template(&folder);
    let make =
        || text(&pbx(&["user", "passwd", "--generate", "--config", path(&config), "1001"], b"").stdout);
    let (first, second) = (make(), make());
    let secret = |said: &str| said.split_whitespace().last().unwrap().to_owned();
    assert_eq!((secret(&first).len(), secret(&second).len()), (24, 24));
    assert_ne!(secret(&first), secret(&second));
    let kept = std::fs::read_to_string(folder.0.join("pbx-data/secrets.toml")).unwrap();
    assert!(!kept.contains(&secret(&second)), "only what verifies it is kept");
}
