//! The four machines against the diagrams of RFC 3261 section 17 and RFC 6026, written down as a table: every
//! row is walked once by itself, and random histories are compared step by step.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use pbx_core::Mono;
use pbx_sip::transaction::{Action, Client, InviteClient, InviteServer, Server, Timing};
use proptest::prelude::*;

/// machine, state, input, next state, action, timers started. A timer lives until it fires or until a state is
/// entered that does not keep it (see `KEPT`).
const DIAGRAM: &str = "
 ict Calling    1xx   Proceeding Deliver
 ict Calling    2xx   Accepted   Deliver          M
 ict Calling    fail  Completed  DeliverAndAck    D
 ict Calling    A     Calling    Send             A
 ict Calling    B     Terminated TimedOut
 ict Calling    err   Terminated TransportFailed
 ict Proceeding 1xx   Proceeding Deliver
 ict Proceeding 2xx   Accepted   Deliver          M
 ict Proceeding fail  Completed  DeliverAndAck    D
 ict Completed  fail  Completed  Ack
 ict Completed  D     Terminated None
 ict Completed  err   Terminated TransportFailed
 ict Accepted   2xx   Accepted   Deliver
 ict Accepted   M     Terminated None

 nict Trying     1xx  Proceeding Deliver
 nict Trying     2xx  Completed  Deliver          K
 nict Trying     fail Completed  Deliver          K
 nict Trying     E    Trying     Send             E
 nict Trying     F    Terminated TimedOut
 nict Trying     err  Terminated TransportFailed
 nict Proceeding 1xx  Proceeding Deliver
 nict Proceeding 2xx  Completed  Deliver          K
 nict Proceeding fail Completed  Deliver          K
 nict Proceeding E    Proceeding Send             E2
 nict Proceeding E2   Proceeding Send             E2
 nict Proceeding F    Terminated TimedOut
 nict Proceeding err  Terminated TransportFailed
 nict Completed  K    Terminated None

 ist Proceeding req   Proceeding Send
 ist Proceeding T     Proceeding SendTrying
 ist Proceeding u1xx  Proceeding Send             -T
 ist Proceeding u2xx  Accepted   Send             L
 ist Proceeding ufail Completed  Send             G H
 ist Completed  req   Completed  Send
 ist Completed  ack   Confirmed  None             I
 ist Completed  G     Completed  Send             G
 ist Completed  H     Terminated TimedOut
 ist Completed  err   Terminated TransportFailed
 ist Confirmed  I     Terminated None
 ist Accepted   ack   Accepted   Deliver
 ist Accepted   u2xx  Accepted   Send
 ist Accepted   L     Terminated None

 nist Trying     u1xx  Proceeding Send
 nist Trying     u2xx  Completed  Send            J
 nist Trying     ufail Completed  Send            J
 nist Proceeding req   Proceeding Send
 nist Proceeding u1xx  Proceeding Send
 nist Proceeding u2xx  Completed  Send            J
 nist Proceeding ufail Completed  Send            J
 nist Proceeding err   Terminated TransportFailed
 nist Completed  req   Completed  Send
 nist Completed  J     Terminated None
 nist Completed  err   Terminated TransportFailed
";

/// Which timers a state keeps running when it is entered.
const KEPT: &[(&str, &str, &str)] = &[
    ("ict", "Calling", "A B"),
    ("nict", "Trying", "E F"),
    ("nict", "Proceeding", "E E2 F"),
    ("ist", "Proceeding", "T"),
    ("ist", "Completed", "G H"),
];

/// What starts with the machine.
const START: &[(&str, &str, &str)] = &[
    ("ict", "Calling", "A B"),
    ("nict", "Trying", "E F"),
    ("ist", "Proceeding", "T"),
    ("nist", "Trying", ""),
];

/// What a machine can be told; timers come by themselves.
const INPUTS: &[&str] = &["1xx", "2xx", "fail", "err", "req", "ack", "u1xx", "u2xx", "ufail"];

struct Row {
    next: &'static str,
    action: String,
    timers: Vec<&'static str>,
}

fn diagram() -> BTreeMap<(&'static str, &'static str, &'static str), Row> {
    let rows = DIAGRAM.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|words| !words.is_empty())
        .map(|words| {
            let row = Row { next: words[3], action: words[4].to_owned(), timers: words[5..].to_vec() };
            ((words[0], words[1], words[2]), row)
        })
        .collect()
}

/// The naive machine: a name for the state, a list of running timers, and the table.
struct Model {
    machine: &'static str,
    state: &'static str,
    reliable: bool,
    timers: BTreeMap<&'static str, Mono>,
    fired: u32,
    /// The rows that were taken: state and input.
    walked: BTreeSet<(&'static str, &'static str)>,
}

impl Model {
    fn new(machine: &'static str, reliable: bool, now: Mono) -> Self {
        let &(_, state, timers) = START.iter().find(|row| row.0 == machine).unwrap();
        let mut model =
            Self { machine, state, reliable, timers: BTreeMap::new(), fired: 0, walked: BTreeSet::new() };
        timers.split_whitespace().for_each(|timer| model.start(timer, now));
        model
    }

    /// RFC 3261 table 4, in milliseconds.
    fn value(&self, timer: &str) -> Option<u64> {
        let over_udp = |ms| (!self.reliable).then_some(ms);
        match timer {
            "A" => over_udp(500 << self.fired),
            "E" | "G" => over_udp((500 << self.fired.min(3)).min(4_000)),
            "E2" => over_udp(4_000),
            "B" | "F" | "H" | "L" | "M" => Some(32_000),
            "D" | "J" => Some(if self.reliable { 0 } else { 32_000 }),
            "I" | "K" => Some(if self.reliable { 0 } else { 5_000 }),
            "T" => Some(200),
            _ => panic!("timer {timer}"),
        }
    }

    fn start(&mut self, timer: &'static str, now: Mono) {
        if let Some(stopped) = timer.strip_prefix('-') {
            self.timers.remove(stopped);
        } else if let Some(ms) = self.value(timer) {
            self.timers.insert(timer, now + Duration::from_millis(ms));
        }
    }

    fn feed(&mut self, input: &'static str, now: Mono) -> String {
        let table = diagram();
        let Some(row) = table.get(&(self.machine, self.state, input)) else { return "None".into() };
        self.walked.insert((self.state, input));
        if row.next != self.state {
            let kept = KEPT.iter().find(|k| (k.0, k.1) == (self.machine, row.next)).map_or("", |k| k.2);
            self.timers.retain(|timer, _| kept.split_whitespace().any(|k| k == *timer));
        }
        match input {
            "A" | "E" | "E2" | "G" => self.fired += 1,
            _ if row.next != self.state => self.fired = 0,
            _ => {}
        }
        self.state = row.next;
        for timer in &row.timers {
            self.start(timer, now);
        }
        // Table 4: a timer of zero is a state that is left at once.
        if self.timers.values().any(|&at| at <= now) && row.timers.iter().any(|t| "DIJK".contains(t)) {
            self.state = "Terminated";
            self.timers.clear();
        }
        row.action.clone()
    }

    /// The timer that fires at `now`; those that end a machine first.
    fn due(&mut self, now: Mono) -> Option<&'static str> {
        let due: Vec<_> = self.timers.iter().filter(|&(_, &at)| at <= now).map(|(&t, _)| t).collect();
        let repeats = |t: &&str| matches!(*t, "A" | "E" | "E2" | "G");
        let first = due.iter().copied().find(|t| !repeats(t)).or_else(|| due.first().copied())?;
        self.timers.remove(first);
        Some(first)
    }

    fn next_timeout(&self) -> Option<Mono> {
        self.timers.values().min().copied()
    }
}

enum Machine {
    Ict(InviteClient),
    Nict(Client),
    Ist(InviteServer),
    Nist(Server),
}

impl Machine {
    fn new(machine: &str, reliable: bool, now: Mono) -> Self {
        let timing = Timing::default();
        match machine {
            "ict" => Self::Ict(InviteClient::new(timing, reliable, now)),
            "nict" => Self::Nict(Client::new(timing, reliable, now)),
            "ist" => Self::Ist(InviteServer::new(timing, reliable, now)),
            _ => Self::Nist(Server::new(timing, reliable)),
        }
    }

    fn feed(&mut self, input: &str, now: Mono) -> Action {
        let status = match input.trim_start_matches('u') {
            "1xx" => 180,
            "2xx" => 200,
            _ => 486,
        };
        match (self, input) {
            (Self::Ict(m), "1xx" | "2xx" | "fail") => m.handle_response(status, now),
            (Self::Nict(m), "1xx" | "2xx" | "fail") => m.handle_response(status, now),
            (Self::Ist(m), "u1xx" | "u2xx" | "ufail") => m.respond(status, now),
            (Self::Nist(m), "u1xx" | "u2xx" | "ufail") => m.respond(status, now),
            (Self::Ist(m), "req") => m.handle_request(),
            (Self::Nist(m), "req") => m.handle_request(),
            (Self::Ist(m), "ack") => m.handle_ack(now),
            (Self::Ict(m), "err") => m.handle_transport_failure(),
            (Self::Nict(m), "err") => m.handle_transport_failure(),
            (Self::Ist(m), "err") => m.handle_transport_failure(),
            (Self::Nist(m), "err") => m.handle_transport_failure(),
            _ => Action::None,
        }
    }

    fn handle_timeout(&mut self, now: Mono) -> Action {
        match self {
            Self::Ict(m) => m.handle_timeout(now),
            Self::Nict(m) => m.handle_timeout(now),
            Self::Ist(m) => m.handle_timeout(now),
            Self::Nist(m) => m.handle_timeout(now),
        }
    }

    fn next_timeout(&self) -> Option<Mono> {
        match self {
            Self::Ict(m) => m.next_timeout(),
            Self::Nict(m) => m.next_timeout(),
            Self::Ist(m) => m.next_timeout(),
            Self::Nist(m) => m.next_timeout(),
        }
    }

    fn is_terminated(&self) -> bool {
        match self {
            Self::Ict(m) => m.is_terminated(),
            Self::Nict(m) => m.is_terminated(),
            Self::Ist(m) => m.is_terminated(),
            Self::Nist(m) => m.is_terminated(),
        }
    }
}

/// A machine and its model in step.
struct Both {
    model: Model,
    machine: Machine,
    now: Mono,
}

impl Both {
    fn new(machine: &'static str, reliable: bool) -> Self {
        let now = Mono::from_secs(1_000);
        Self { model: Model::new(machine, reliable, now), machine: Machine::new(machine, reliable, now), now }
    }

    fn feed(&mut self, input: &'static str) {
        // A server that has terminated is out of its owner's hands, and an input of the other side is no input.
        let expected = self.model.feed(input, self.now);
        assert_eq!(format!("{:?}", self.machine.feed(input, self.now)), expected, "{input}");
        self.compare();
    }

    /// Lets `ms` pass, stopping at every timer on the way.
    fn wait(&mut self, ms: u64) {
        let until = self.now + Duration::from_millis(ms);
        while let Some(at) = self.model.next_timeout().filter(|&at| at <= until) {
            self.now = at;
            let timer = self.model.due(at).unwrap();
            let expected = self.model.feed(timer, at);
            assert_eq!(format!("{:?}", self.machine.handle_timeout(at)), expected, "timer {timer}");
            self.compare();
        }
        self.now = until;
        assert_eq!(self.machine.handle_timeout(until), Action::None, "nothing is due");
    }

    fn compare(&self) {
        assert_eq!(self.machine.next_timeout(), self.model.next_timeout(), "in {}", self.model.state);
        assert_eq!(self.machine.is_terminated(), self.model.state == "Terminated");
    }
}

/// A shortest way from the start to `state`, by inputs alone.
fn way_to(machine: &str, state: &str) -> Vec<&'static str> {
    match (machine, state) {
        ("ict" | "nict", "Proceeding") => vec!["1xx"],
        ("nist", "Proceeding") => vec!["u1xx"],
        ("ict" | "nict", "Completed") => vec!["fail"],
        ("ist" | "nist", "Completed") => vec!["ufail"],
        ("ict", "Accepted") => vec!["2xx"],
        ("ist", "Accepted") => vec!["u2xx"],
        ("ist", "Confirmed") => vec!["ufail", "ack"],
        _ => vec![],
    }
}

#[test]
fn rfc3261_17_every_row_of_the_diagrams_is_taken() {
    for (machine, state, input) in diagram().into_keys() {
        let mut both = Both::new(machine, false);
        way_to(machine, state).into_iter().for_each(|step| both.feed(step));
        assert_eq!(both.model.state, state, "{machine}");
        if INPUTS.contains(&input) {
            both.feed(input);
        } else {
            both.wait(40_000);
        }
        assert!(both.model.walked.contains(&(state, input)), "{machine} {state} {input}");
    }
}

#[test]
fn rfc3261_17_what_no_row_names_changes_nothing() {
    let table = diagram();
    for machine in ["ict", "nict", "ist", "nist"] {
        for state in ["Calling", "Trying", "Proceeding", "Completed", "Confirmed", "Accepted"] {
            for &input in INPUTS.iter().filter(|&&input| !table.contains_key(&(machine, state, input))) {
                let mut both = Both::new(machine, false);
                way_to(machine, state).into_iter().for_each(|step| both.feed(step));
                both.feed(input);
            }
        }
    }
}

fn step() -> impl Strategy<Value = (usize, u64)> {
    (0..INPUTS.len() + 3, prop_oneof![0u64..700, 3_000u64..6_000, 31_000u64..33_000])
}

proptest! {
    #[test]
    fn rfc3261_17_random_histories_equal_the_model(
        machine in prop::sample::select(vec!["ict", "nict", "ist", "nist"]),
        reliable: bool,
        steps in prop::collection::vec(step(), 1..24),
    ) {
        let mut both = Both::new(machine, reliable);
        for (input, ms) in steps {
            match INPUTS.get(input) {
                Some(&input) => both.feed(input),
                None => both.wait(ms),
            }
        }
    }

    /// Whatever happened, once a final answer exists nothing is left after the longest timers.
    #[test]
    fn rfc3261_17_every_machine_ends(
        machine in prop::sample::select(vec!["ict", "nict", "ist", "nist"]),
        reliable: bool,
        steps in prop::collection::vec(step(), 0..12),
    ) {
        let mut both = Both::new(machine, reliable);
        for (input, ms) in steps {
            match INPUTS.get(input) {
                Some(&input) => both.feed(input),
                None => both.wait(ms),
            }
        }
        both.feed(if machine.ends_with("ct") { "fail" } else { "ufail" });
        both.wait(70_000);
        prop_assert!(both.machine.is_terminated());
    }
}
