//! Memory is fixed, and no flood drives out a block or shuts out a phone.

use std::sync::Arc;
use std::time::Duration;

use pbx_core::{Mono, Now, Reason, Service, Source, Transport, Wall};
use pbx_policy::{Attempt, AuthKind, AuthOutcome, Config, Guard, Packet, Rules, State};

fn guard(config: &str) -> Guard {
    let text = format!(
        "[[extension]]\nnumber = '1001'\nregistration.remote = true\n\
         [state]\nsources = 4096\noffenders = 256\nbans = 512\nregistrations = 64\ncalls = 64\n{config}"
    );
    let config: Config = toml::from_str(&text).unwrap();
    let state = State::new(&config.state, [5; 16], now(0)).unwrap();
    Guard::new(Arc::new(Rules::compile(&config).unwrap()), state)
}

fn now(ms: u64) -> Now {
    let start = Now::new(Mono::from_secs(50_000), Wall::from_unix_secs(1_772_445_600));
    start.after(Duration::from_millis(ms))
}

fn packet(addr: [u8; 4], transport: Transport) -> Packet {
    Packet::new(Source::new((addr, 5060).into(), transport)).service(Service::Sip)
}

fn register(guard: &Guard, source: Source, now: Now) -> bool {
    let attempt = Attempt::new(AuthKind::Registration, "1001", source)
        .answered(true)
        .proved(true)
        .contact("sip:phone")
        .expires(Duration::from_secs(3_600));
    let ticket = guard.begin(&attempt, now).ticket;
    ticket.is_some_and(|ticket| guard.end(ticket, AuthOutcome::Success, now).verdict.is_allowed())
}

/// An address for every number, none of them in a private or loopback network.
fn address(i: u32) -> [u8; 4] {
    let [a, b, c, d] = i.to_be_bytes();
    [64 + a, b, c, d]
}

#[test]
fn b6_a_million_sources_evict_no_ban_and_refuse_no_phone() {
    let guard = guard("");
    let phone = Source::new("203.0.113.5:5060".parse().unwrap(), Transport::Udp);
    assert!(register(&guard, phone, now(0)));
    let scanner = packet([203, 0, 113, 66], Transport::Tcp);
    assert!((0..=40).any(|_| !guard.on_packet(&scanner, now(0)).verdict.is_allowed()));
    assert!(guard.block(packet([203, 0, 113, 67], Transport::Udp).source.key(), None, now(0)));

    for i in 0..1_000_000_u32 {
        let at = now(1_000 + u64::from(i / 1_000));
        let _ = guard.on_packet(&packet(address(i), Transport::Udp), at);
        if i % 50_000 == 0 {
            let decision = guard.on_packet(&packet([203, 0, 113, 5], Transport::Udp), at);
            assert_eq!(decision.reason, Reason::RegisteredSource, "after {i}");
            assert!(register(&guard, phone, at), "after {i}");
        }
    }
    let end = now(2_100);
    assert!(guard.state().pressure() > 0, "the flood did not fill the tables: the test shows nothing");
    assert_eq!(guard.on_packet(&scanner, end).reason, Reason::Blocked);
    assert_eq!(guard.on_packet(&packet([203, 0, 113, 67], Transport::Tcp), end).reason, Reason::Blocked);
    assert_eq!(guard.blocked(end).len(), 2);
}

#[test]
fn b9_a_full_list_keeps_what_it_has_and_room_for_administrators() {
    let guard = guard("");
    for i in 0..5_000_u32 {
        let flood = packet(address(i * 0x0101), Transport::Tcp);
        (0..=40).for_each(|_| _ = guard.on_packet(&flood, now(0)));
    }
    let full = guard.blocked(now(1));
    let bans: Vec<_> = full.iter().map(|b| b.scope).collect();
    for i in 5_000..6_000_u32 {
        let flood = packet(address(i * 0x0101), Transport::Tcp);
        (0..=40).for_each(|_| _ = guard.on_packet(&flood, now(2)));
    }
    let first = packet(address(0), Transport::Tcp);
    assert_eq!(guard.on_packet(&first, now(3)).reason, Reason::Blocked, "the oldest ban still stands");
    assert!(bans.len() >= 400, "{}", bans.len());
    let by_hand = (0..20_u8)
        .filter(|&i| guard.block(packet([198, 51, 100, i], Transport::Tcp).source.key(), None, now(3)));
    assert_eq!(by_hand.count(), 20, "administrators have a share of their own");
}

#[test]
fn b9_eight_banned_neighbours_become_one_ban_when_the_list_is_full() {
    let guard = guard("");
    let flood =
        |addr: [u8; 4], at| (0..=40).for_each(|_| _ = guard.on_packet(&packet(addr, Transport::Tcp), at));
    (1..=12).for_each(|i| flood([203, 0, 113, i], now(0)));
    (0..5_000_u32).for_each(|i| flood(address(i * 0x0101), now(20_000)));
    let stranger = packet([203, 0, 113, 200], Transport::Tcp);
    assert_eq!(
        guard.on_packet(&stranger, now(20_001)).reason,
        Reason::Blocked,
        "its network is banned as a whole"
    );
    let shown: Vec<_> = guard.blocked(now(20_001)).iter().map(|b| format!("{:?}", b.scope)).collect();
    assert!(shown.iter().any(|s| s == "Address(203.0.113.0/24)"), "{}", shown.len());
    assert!(!shown.iter().any(|s| s == "Address(203.0.113.1)"), "its members made room");
}

#[test]
fn a_flood_of_failures_from_everywhere_refuses_no_registered_phone() {
    let guard = guard("");
    let phone = Source::new("203.0.113.5:5060".parse().unwrap(), Transport::Udp);
    assert!(register(&guard, phone, now(0)));
    for i in 0..20_000_u32 {
        let source = Source::new((address(i * 7), 5060).into(), Transport::Udp);
        let attempt = Attempt::new(AuthKind::Registration, "1001", source).answered(true).proved(true);
        if let Some(ticket) = guard.begin(&attempt, now(10)).ticket {
            let _ = guard.end(ticket, AuthOutcome::BadCredentials, now(10));
        }
    }
    assert!(guard.state().pressure() > 0);
    assert!(register(&guard, phone, now(20)));
}

#[test]
fn the_size_is_known_before() {
    let small = Config::default().state;
    let mut large = small.clone();
    large.sources *= 2;
    assert!(State::words(&large) > State::words(&small));
    assert!(State::words(&small) * 8 < 64 << 20, "{} MiB by default", (State::words(&small) * 8) >> 20);
}
