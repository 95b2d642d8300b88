//! Ten thousand calls of all outcomes leave no transaction, no dialog, no event and no timer behind.

mod net;

use core::time::Duration;

use net::{FINE, Net};
use pbx_sip::{DialogId, Event, Method, Parts};

const CALLS: usize = 10_000;

#[test]
fn ten_thousand_calls_leave_nothing() {
    let mut net = Net::new(2, FINE, 1);
    net.keeps = false;
    let (mut calls, mut ended) = ([Vec::new(), Vec::new()], [0, 0]);
    for n in 0..CALLS {
        let caller = net.call(0, 1);
        net.settle();
        act(&mut net, n, caller, &mut calls, &mut ended);
        net.run(Duration::from_millis(20));
    }
    for (side, calls) in calls.iter_mut().enumerate() {
        for dialog in std::mem::take(calls) {
            let now = net.now;
            // The other side may have hung up already.
            let _ = net.host(side).hang_up(dialog, &[], now);
        }
        net.settle();
    }
    net.run(Duration::from_secs(65));
    count_ends(&mut net, &mut ended);
    assert!(net.is_idle(), "{:?} {:?}", net.hosts[0].sip.load(), net.hosts[1].sip.load());
    assert_eq!(ended[0], CALLS, "every call of the caller has ended");
    assert_eq!(ended[1], CALLS / 4 * 3, "and all that rang at the callee");
}

/// A quarter each is refused at once, withdrawn, hung up by the caller, and by the callee.
fn act(net: &mut Net, n: usize, caller: DialogId, calls: &mut [Vec<DialogId>; 2], ended: &mut [usize; 2]) {
    let now = net.now;
    let transaction = net.events(1).into_iter().find_map(|event| match event {
        Event::Request { transaction, method: Method::Invite, .. } => Some(transaction),
        Event::Ended { .. } => {
            ended[1] += 1;
            None
        }
        _ => None,
    });
    let transaction = transaction.unwrap();
    match n % 4 {
        0 => net.host(1).respond(transaction, 486, &Parts::default(), now).unwrap(),
        1 => {
            net.host(1).ring(transaction, 180, &Parts::default(), now).unwrap();
            net.settle();
            net.host(0).hang_up(caller, &[], now).unwrap();
        }
        which => {
            let callee = net.host(1).accept(transaction, &Parts::default(), now).unwrap();
            net.settle();
            let (side, dialog) = if which == 2 { (0, caller) } else { (1, callee) };
            calls[side].push(dialog);
            if calls[side].len() > 50 {
                let dialog = calls[side].remove(0);
                net.host(side).hang_up(dialog, &[], now).unwrap();
            }
        }
    }
    net.settle();
    count_ends(net, ended);
}

fn count_ends(net: &mut Net, ended: &mut [usize; 2]) {
    for (side, ended) in ended.iter_mut().enumerate() {
        *ended += net.events(side).iter().filter(|event| matches!(event, Event::Ended { .. })).count();
    }
}
