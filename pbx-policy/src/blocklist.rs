//! The blocked list (B9): what is on it, what puts it there, what takes it off.
//!
//! A block whose evidence came from an address that proved itself stands in the table of bans, which nothing
//! automatic evicts. What only sent UDP may have forged its address: it is held down for a time in a table of
//! its own, so that forged packets cannot fill the bans, and packets whose handshake proves the address pass.

use core::time::Duration;
use std::collections::BTreeMap;

use pbx_core::table::{Ban, Inserted, Key, Limit, Recorded};
use pbx_core::{AddrKey, EventKind, Label, Mono, Now, Reason, SecurityEvent, Source};

use crate::decision::{Block, BlockScope, Decision};
use crate::defense::Ladder;
use crate::lockout::{Subject, Term};
use crate::rules::Rules;
use crate::state::{Sender, State, tag};

/// Longest block on evidence that may be forged.
const UNPROVED: Duration = Duration::from_secs(24 * 3_600);
/// How many banned addresses make their network one ban when the list is full (spec 2.1).
const MERGE_FROM: usize = 8;
/// How often the list is searched for networks to merge: it is long, and only a full one needs it.
const MERGE_EVERY: Duration = Duration::from_secs(10);

/// What is to be blocked.
#[derive(Clone, Debug)]
pub(crate) struct Offence {
    /// The key of the block.
    pub(crate) key: Key,
    pub(crate) scope: BlockScope,
    pub(crate) reason: Reason,
    pub(crate) account: Label,
    /// Whether the evidence came from an address that proved itself.
    pub(crate) proved: bool,
    pub(crate) term: Term,
}

/// What became of an offence.
#[derive(Clone, Debug)]
pub(crate) struct Punished {
    pub(crate) block: Block,
    /// Whether the block stands; without room for it the full counter itself is what holds the offender down.
    pub(crate) holds: bool,
    /// The networks that were merged to make room.
    merged: Vec<AddrKey>,
    /// Whether the list was full.
    full: bool,
}

impl Punished {
    /// Notes the block and what it took in a decision.
    pub(crate) fn note(&self, decision: &mut Decision, source: Source, now: Now) {
        decision.block = Some(self.block);
        if self.full {
            let kind =
                if self.merged.is_empty() { EventKind::TablePressure } else { EventKind::NetworkBlocked };
            decision.event(SecurityEvent::new(kind, now.wall).reason(self.block.reason).source(source));
        }
    }
}

impl State {
    /// The block that covers the packets of a sender, itself or with its network. `proved` says that the packet
    /// at hand proves its address.
    pub(crate) fn address_block(&self, sender: &Sender, proved: bool, now: Now) -> Option<Block> {
        let bans = self.block.bans(self.tables.bans);
        let ban =
            bans.find(sender.lock(), now).or_else(|| bans.find(sender.net_key.tagged(tag::ADDRESS), now));
        match ban {
            Some(ban) => block_of(&ban),
            None if proved => None,
            None => self.held(sender, now),
        }
    }

    /// The time block of a sender whose address is not proved.
    fn held(&self, sender: &Sender, now: Now) -> Option<Block> {
        let held = |tag| self.held_by_key(sender.key.tagged(tag), now);
        held(tag::HELD_RATE).or_else(|| held(tag::HELD_LOCKOUT))
    }

    /// The block with this key, of a pair, of logins or of an account.
    pub(crate) fn block_by_key(&self, key: Key, now: Now) -> Option<Block> {
        let ban = self.block.bans(self.tables.bans).find(key, now);
        match ban {
            Some(ban) => block_of(&ban),
            None => self.held_by_key(key, now),
        }
    }

    fn held_by_key(&self, key: Key, now: Now) -> Option<Block> {
        self.block.bans(self.tables.held).find(key, now).and_then(|ban| block_of(&ban))
    }

    /// Blocks an offender for as long as it deserves.
    pub(crate) fn punish(&self, sender: &Sender, offence: &Offence, ladder: &Ladder, now: Now) -> Punished {
        let length = self.sentence(sender, offence, ladder, now);
        if offence.proved {
            return self.ban(sender, offence, length.map(|d| now.mono + d), now);
        }
        let until = now.mono + length.unwrap_or(UNPROVED).min(UNPROVED);
        let (block, holds) = self.hold_down(sender, offence, until, now);
        Punished { block, holds, merged: Vec::new(), full: false }
    }

    /// How long: `None` is for good.
    fn sentence(&self, sender: &Sender, offence: &Offence, ladder: &Ladder, now: Now) -> Option<Duration> {
        match offence.term {
            Term::For(length) => Some(length),
            Term::Permanent => None,
            Term::Escalate => {
                let offences = self.block.windows(self.tables.offences);
                let nth = match offences.record(sender.key.tagged(tag::OFFENCES), ladder.memory(), now) {
                    Recorded::Counted { nth } => nth,
                    Recorded::Full { .. } => u32::MAX,
                    // No room to remember: the first step, so that a flood cannot get others banned for good.
                    _ => 1,
                };
                ladder.step(nth)
            }
        }
    }

    /// Remembers that a counter was full.
    pub(crate) fn offends(&self, counter: Key, memory: Duration, now: Now) {
        let once = Limit { at_most: 1, per: memory };
        // Without room to remember nobody is treated worse.
        let _ = self.block.windows(self.tables.offences).record(counter.tagged(tag::OFFENCES), once, now);
    }

    /// Whether that is remembered.
    pub(crate) fn offended(&self, counter: Key, memory: Duration, now: Now) -> bool {
        let once = Limit { at_most: 1, per: memory };
        self.block.windows(self.tables.offences).peek(counter.tagged(tag::OFFENCES), once, now).used > 0
    }

    /// An entry in the table of bans; where it is full, networks are merged, and where that frees nothing the
    /// offender is held down in the table of its counters.
    fn ban(&self, sender: &Sender, offence: &Offence, until: Option<Mono>, now: Now) -> Punished {
        let block = Block {
            scope: offence.scope,
            reason: offence.reason,
            since: now.mono,
            until,
            account: offence.account,
        };
        let entry = ban_of(&block, offence.key, sender.addr, false);
        let bans = self.block.bans(self.tables.bans);
        if bans.insert(&entry, now) != Inserted::Full {
            return Punished { block, holds: true, merged: Vec::new(), full: false };
        }
        let merged = self.merge_networks(now);
        if !merged.is_empty() && bans.insert(&entry, now) != Inserted::Full {
            return Punished { block, holds: true, merged, full: true };
        }
        let until = until.unwrap_or(Mono::MAX).min(now.mono + UNPROVED);
        let (block, holds) = self.hold_down(sender, offence, until, now);
        Punished { block, holds, merged, full: true }
    }

    /// A time block outside the table of bans, and whether there was room for it.
    fn hold_down(&self, sender: &Sender, offence: &Offence, until: Mono, now: Now) -> (Block, bool) {
        let key = match (offence.scope, offence.reason) {
            (BlockScope::Address(_), Reason::PacketRate) => sender.key.tagged(tag::HELD_RATE),
            (BlockScope::Address(_), _) => sender.key.tagged(tag::HELD_LOCKOUT),
            _ => offence.key,
        };
        let block = Block {
            scope: offence.scope,
            reason: offence.reason,
            since: now.mono,
            until: Some(until),
            account: offence.account,
        };
        let held = self.block.bans(self.tables.held);
        let holds = held.insert(&ban_of(&block, key, sender.addr, false), now) != Inserted::Full;
        (block, holds)
    }

    /// Ends what holds a sender down on evidence that may be forged: it has proved itself.
    pub(crate) fn proved(&self, sender: &Sender) {
        let held = self.block.bans(self.tables.held);
        held.remove(sender.key.tagged(tag::HELD_RATE));
        held.remove(sender.key.tagged(tag::HELD_LOCKOUT));
    }

    /// Replaces the automatic bans of addresses by one of their network wherever a network has many of them.
    fn merge_networks(&self, now: Now) -> Vec<AddrKey> {
        if !self.once(self.block.key(b"merge").tagged(tag::MERGE), MERGE_EVERY, now) {
            return Vec::new();
        }
        let bans = self.block.bans(self.tables.bans);
        let mut networks: BTreeMap<AddrKey, Vec<Ban>> = BTreeMap::new();
        for ban in bans.iter(now).filter(mergeable) {
            networks.entry(network_of(ban.addr)).or_default().push(ban);
        }
        let crowded = networks.into_iter().filter(|(_, members)| members.len() >= MERGE_FROM);
        crowded.filter_map(|(net, members)| self.merge(net, &members, now).then_some(net)).collect()
    }

    /// One ban for the network instead of its members'. No member is lost: the network's ban comes first, or,
    /// where there is no room for it before they are gone, they come back when there is none after either.
    fn merge(&self, net: AddrKey, members: &[Ban], now: Now) -> bool {
        let bans = self.block.bans(self.tables.bans);
        let until =
            members.iter().map(|ban| ban.until.unwrap_or(Mono::MAX)).max().filter(|&at| at < Mono::MAX);
        let block = Block {
            scope: BlockScope::Address(net),
            reason: Reason::AddressLocked,
            since: now.mono,
            until,
            account: Label::EMPTY,
        };
        let key = self.block.key(&net.to_bytes()).tagged(tag::ADDRESS);
        let whole = ban_of(&block, key, net, false);
        let fits = || bans.insert(&whole, now) != Inserted::Full;
        let early = fits();
        members.iter().for_each(|ban| _ = bans.remove(ban.key));
        if early || fits() {
            return true;
        }
        members.iter().for_each(|ban| _ = bans.insert(ban, now));
        false
    }

    /// The blocked list as it is now.
    pub(crate) fn blocked(&self, now: Now) -> Vec<Block> {
        let bans = self.block.bans(self.tables.bans);
        let held = self.block.bans(self.tables.held);
        bans.iter(now).chain(held.iter(now)).filter_map(|ban| block_of(&ban)).collect()
    }

    /// Blocks an address by hand, until a time or for good. False when the administrators' share is full.
    pub(crate) fn block_by_hand(&self, addr: AddrKey, until: Option<Mono>, now: Now) -> bool {
        let key = self.block.key(&addr.to_bytes()).tagged(tag::ADDRESS);
        let block = Block {
            scope: BlockScope::Address(addr),
            reason: Reason::Blocked,
            since: now.mono,
            until,
            account: Label::EMPTY,
        };
        self.block.bans(self.tables.bans).insert(&ban_of(&block, key, addr, true), now) != Inserted::Full
    }
}

/// Whether a ban is an automatic one of a single address.
fn mergeable(ban: &Ban) -> bool {
    ban.what == what(BlockScope::Address(ban.addr)) && !ban.manual && network_of(ban.addr) != ban.addr
}

/// The /24 or /48 around an address.
fn network_of(addr: AddrKey) -> AddrKey {
    AddrKey::covering(addr.addr(), if addr.is_v6() { 48 } else { 24 })
}

/// The number that stands for a scope in the tables.
const fn what(scope: BlockScope) -> u8 {
    match scope {
        BlockScope::Address(_) => 0,
        BlockScope::Pair(_) => 1,
        BlockScope::Logins(_) => 2,
        BlockScope::Account => 3,
        BlockScope::Outbound(_) => 4,
    }
}

fn ban_of(block: &Block, key: Key, addr: AddrKey, manual: bool) -> Ban {
    Ban {
        key,
        addr,
        account: block.account,
        reason: block.reason.code(),
        what: what(block.scope),
        since: block.since,
        until: block.until,
        manual,
    }
}

/// The block of an entry; `None` for what another version may have written.
fn block_of(ban: &Ban) -> Option<Block> {
    let scope = scope_of(ban.what, ban.addr, ban.account)?;
    Some(Block {
        scope,
        reason: reason_of(ban.reason)?,
        since: ban.since,
        until: ban.until,
        account: ban.account,
    })
}

/// The scope that a number in the tables stands for.
fn scope_of(what: u8, addr: AddrKey, account: Label) -> Option<BlockScope> {
    match what {
        0 => Some(BlockScope::Address(addr)),
        1 => Some(BlockScope::Pair(addr)),
        2 => Some(BlockScope::Logins(addr)),
        3 => Some(BlockScope::Account),
        4 => account.as_str().parse().ok().map(BlockScope::Outbound),
        _ => None,
    }
}

/// The reason of a code.
fn reason_of(code: u16) -> Option<Reason> {
    Reason::ALL.iter().copied().find(|r| r.code() == code)
}

impl State {
    /// The blocks that ended after `last` and are not yet overwritten.
    pub(crate) fn ended_since(&self, last: Mono, now: Now) -> impl Iterator<Item = Block> {
        let then = Now::new(last, now.wall_at(last));
        let (bans, held) = (self.block.bans(self.tables.bans), self.block.bans(self.tables.held));
        let all = bans.iter(then).chain(held.iter(then)).filter_map(|ban| block_of(&ban));
        all.filter(move |block| block.until.is_some_and(|until| last < until && until <= now.mono))
    }

    /// Takes everything that blocks `addr` off the list, or only its lock on `account`.
    pub(crate) fn unblock(&self, rules: &Rules, addr: AddrKey, account: Option<&str>, now: Now) -> usize {
        let key = self.block.key(&addr.to_bytes());
        let label = account.map(Label::new);
        let concerns = |block: &Block| match block.scope {
            BlockScope::Pair(of) => of == addr && label.is_none_or(|label| label == block.account),
            BlockScope::Address(of) | BlockScope::Logins(of) => of == addr && label.is_none(),
            _ => false,
        };
        for counter in rules.lockout.all() {
            match (counter.subject, account) {
                (Subject::Address, None) => self.forget(key.tagged(counter.id), now),
                (Subject::Pair, Some(account)) => {
                    self.forget(key.with(self.account(account)).tagged(counter.id), now);
                }
                _ => {}
            }
        }
        self.lift(concerns, now)
    }

    /// Lifts the locks that hold for an account from everywhere.
    pub(crate) fn unlock(&self, rules: &Rules, account: &str, now: Now) -> usize {
        for counter in rules.lockout.all().filter(|c| c.subject == Subject::Account) {
            self.forget(self.account(account).tagged(counter.id), now);
        }
        let label = Label::new(account);
        self.lift(|block| block.scope == BlockScope::Account && block.account == label, now)
    }

    /// Removes the blocks that `concerns` picks. Their keys are those of their counters, which begin anew.
    fn lift(&self, concerns: impl Fn(&Block) -> bool, now: Now) -> usize {
        let (bans, held) = (self.block.bans(self.tables.bans), self.block.bans(self.tables.held));
        let concerned = |ban: &Ban| block_of(ban).is_some_and(|block| concerns(&block));
        let keys: Vec<Key> =
            bans.iter(now).chain(held.iter(now)).filter(concerned).map(|ban| ban.key).collect();
        let lifted = keys.iter().filter(|&&key| bans.remove(key) | held.remove(key)).count();
        keys.iter().for_each(|&key| self.forget(key, now));
        lifted
    }
}
