//! What extensions and trunks use up: calls at a time, calls in a time, and who is locked (E10, E11, E13).
//!
//! Everything is keyed by names, so that a reload of the rules keeps every counter. Lines are leases: a call
//! whose end is never told gives its lines back by itself.

use core::time::Duration;

use pbx_core::table::{
    Block as Memory, Entered, Hit, Key, Layout, Leased, LeasesId, Limit, RatesId, Recorded, RecordsId, Ring,
    WindowsId,
};
use pbx_core::{CallId, ExtensionId, Label, Mono, Now, Reason, RuleId, RuleKind};

use crate::calls::{Calls, Extension, Trunk};
use crate::config::{CallLimit, StateConfig};
use crate::decision::{Block, BlockScope};
use crate::frequency::Frequency;
use crate::live::{FIELDS, Live};
use crate::route::Route;

/// Lines that one key of the lease table counts; larger limits use several keys.
const LINES: u32 = 16;
/// Most calls that an exact window counts.
const EXACT: u32 = 64;
/// Most calls that a rate counts; larger limits are spread over the time.
const RATE: u32 = 255;
/// How long the trunk used last is remembered.
const MEMORY: Duration = Duration::from_secs(90 * 86_400);
/// For how long after an emergency call the emergency centre may call back withholding its number.
const CALL_BACK: Duration = Duration::from_secs(3_600);
/// How often a full trunk is told.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// What a key of a subject is about.
mod tag {
    pub(super) const LOCK: u16 = 1;
    pub(super) const CALL_BACK: u16 = 2;
    pub(super) const TRUNK_BUSY: u16 = 3;
    pub(super) const MEMORY: u16 = 4;
    /// And the numbers of the limits of a rule.
    pub(super) const FREQUENCY: u16 = 0x100;
    /// And the numbers of the keys that a limit needs.
    pub(super) const EXTENSION_LINES: u16 = 0x1000;
    pub(super) const TRUNK_LINES: u16 = 0x2000;
}

/// The tables of calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallTables {
    frequency: WindowsId,
    rates: RatesId,
    notices: WindowsId,
    lines: LeasesId,
    locks: RecordsId,
    memory: RecordsId,
    calls: RecordsId,
}

impl CallTables {
    pub(crate) fn lay_out(layout: &mut Layout, config: &StateConfig) -> Self {
        let calls = config.calls.max(64);
        Self {
            frequency: layout.windows(calls.saturating_mul(2), Ring::R64),
            rates: layout.rates(calls),
            notices: layout.windows(calls, Ring::R8),
            lines: layout.leases(calls.saturating_mul(2), u8::try_from(LINES).unwrap_or(u8::MAX)),
            locks: layout.records(calls, LOCK_FIELDS),
            memory: layout.records(1_024, 1),
            // Room to spare, so that no bucket is full before the table is.
            calls: layout.records(calls.saturating_mul(2), FIELDS),
        }
    }

    /// How often a table had no room.
    pub(crate) fn pressure(&self, memory: &Memory) -> u64 {
        let windows = [self.frequency, self.notices].map(|id| memory.windows(id).pressure());
        let records = [self.locks, self.memory, self.calls].map(|id| memory.records(id).pressure());
        let rest = [memory.rates(self.rates).pressure(), memory.leases(self.lines).pressure()];
        windows.iter().chain(&records).chain(&rest).fold(0, |sum, n| sum.saturating_add(*n))
    }
}

/// The tables of calls at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage<'a> {
    memory: &'a Memory,
    tables: &'a CallTables,
    now: Now,
}

/// A limit of calls in a time that is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exceeded {
    /// The place of the rule.
    pub(crate) rule: u32,
    /// When a call would pass again; `None` when there was no room to count.
    pub(crate) retry_at: Option<Mono>,
}

impl Exceeded {
    pub(crate) const fn rule(&self) -> RuleId {
        RuleId::new(RuleKind::Frequency, self.rule)
    }
}

/// Words of a lock: when it began, and the name of the extension.
const LOCK_FIELDS: usize = 1 + NAME_FIELDS;
/// Values of 48 bits that a name of up to 31 characters needs.
pub(crate) const NAME_FIELDS: usize = 6;

impl<'a> Usage<'a> {
    pub(crate) const fn new(memory: &'a Memory, tables: &'a CallTables, now: Now) -> Self {
        Self { memory, tables, now }
    }

    fn key(&self, name: &str, tag: u16) -> Key {
        self.memory.key(name.as_bytes()).tagged(tag)
    }

    /// The lock of an extension's outbound calls.
    pub(crate) fn lock_of(&self, extension: ExtensionId) -> Option<Block> {
        let key = self.key(extension.as_str(), tag::LOCK);
        let record = self.memory.records(self.tables.locks).get(key, self.now)?;
        lock(&record.values, record.until)
    }

    /// Locks the outbound calls of an extension. `None` when they are locked already or there is no room.
    pub(crate) fn lock(&self, extension: ExtensionId, length: Option<Duration>) -> Option<Block> {
        let key = self.key(extension.as_str(), tag::LOCK);
        let until = length.map(|d| self.now.mono + d);
        let mut values = [0; LOCK_FIELDS];
        let [since, name @ ..] = &mut values;
        *since = self.now.mono.as_millis();
        *name = name_fields(extension.as_str());
        let entered = self.memory.records(self.tables.locks).enter(key, &values, until, self.now);
        (entered == Entered::New).then(|| lock(&values, until))?
    }

    /// Unlocks the outbound calls of an extension; whether they were locked.
    pub(crate) fn unlock(&self, extension: ExtensionId) -> bool {
        let key = self.key(extension.as_str(), tag::LOCK);
        self.memory.records(self.tables.locks).remove(key, self.now)
    }

    /// All locks.
    pub(crate) fn locks(&self) -> impl Iterator<Item = Block> + use<'a> {
        self.memory.records(self.tables.locks).iter(self.now).filter_map(|r| lock(&r.values, r.until))
    }

    /// The first limit of an extension that one more call would exceed.
    pub(crate) fn exceeded(&self, calls: &Calls, extension: &Extension) -> Option<Exceeded> {
        self.limits(calls, extension).find_map(|(rule, key, limit)| {
            let peeked = match Counted::of(limit) {
                Counted::Exact(limit) => {
                    self.memory.windows(self.tables.frequency).peek(key, limit, self.now)
                }
                Counted::Rate(limit) => self.memory.rates(self.tables.rates).peek(key, limit, self.now),
            };
            peeked.retry_at.map(|at| Exceeded { rule, retry_at: Some(at) })
        })
    }

    /// Counts a call in all limits of an extension, unless one of them would be exceeded. Only a race for the last
    /// call of one limit leaves the call counted in those before it: that may refuse a later call too many, never
    /// admit one.
    pub(crate) fn count(&self, calls: &Calls, extension: &Extension) -> Result<(), Exceeded> {
        match self.exceeded(calls, extension) {
            Some(exceeded) => Err(exceeded),
            None => self.limits(calls, extension).try_for_each(|(rule, key, limit)| {
                self.count_one(key, limit).map_err(|retry_at| Exceeded { rule, retry_at })
            }),
        }
    }

    fn count_one(&self, key: Key, limit: CallLimit) -> Result<(), Option<Mono>> {
        match Counted::of(limit) {
            Counted::Exact(limit) => {
                match self.memory.windows(self.tables.frequency).record(key, limit, self.now) {
                    Recorded::Counted { .. } => Ok(()),
                    Recorded::Full { retry_at } => Err(Some(retry_at)),
                    _ => Err(None),
                }
            }
            Counted::Rate(limit) => match self.memory.rates(self.tables.rates).hit(key, limit, self.now) {
                Hit::Pass => Ok(()),
                Hit::Over { retry_at } => Err(Some(retry_at)),
                _ => Err(None),
            },
        }
    }

    /// The limits of an extension with the places of their rules and the keys they are counted under.
    fn limits<'c>(
        &self,
        calls: &'c Calls,
        extension: &'c Extension,
    ) -> impl Iterator<Item = (u32, Key, CallLimit)> + use<'c, 'a> {
        let this = *self;
        let caller = this.memory.key(extension.id.as_str().as_bytes());
        let rules = extension.frequencies.iter().filter_map(|&i| Some((i, calls.frequency(i)?)));
        rules.flat_map(move |(i, rule): (u32, &Frequency)| {
            let key = caller.with(this.memory.key(rule.name.as_bytes()));
            let numbered = (tag::FREQUENCY..).zip(&rule.limits);
            numbered.map(move |(n, &limit)| (i, key.tagged(n), limit))
        })
    }

    /// Whether an extension has a line left for one more call.
    pub(crate) fn extension_has_line(&self, extension: &Extension) -> bool {
        extension.max_calls == 0 || self.has_line(Lines::of(extension), extension.max_calls)
    }

    /// Whether a trunk has a line left for one more call.
    pub(crate) fn trunk_has_line(&self, trunk: &Trunk, outbound: bool) -> bool {
        trunk.limit(outbound).is_none_or(|limit| self.has_line(Lines::trunk(trunk), limit))
    }

    fn has_line(&self, lines: Lines<'_>, limit: u32) -> bool {
        let table = self.memory.leases(self.tables.lines);
        let key = self.memory.key(lines.name.as_bytes());
        let room = |(tag, share): (u16, u32)| table.used(key.tagged(tag), self.now) < share;
        lines.shares(limit).any(room)
    }

    /// Takes a line; which one of the keys has it, or `None` when all lines are taken.
    pub(crate) fn take(&self, lines: Lines<'_>, limit: u32, call: CallId, until: Mono) -> Option<u16> {
        let table = self.memory.leases(self.tables.lines);
        let key = self.memory.key(lines.name.as_bytes());
        lines.shares(limit).map(|(tag, share)| (tag, key.tagged(tag), share)).find_map(|(tag, key, share)| {
            let leased = table.take(key, call.0, share, until, self.now);
            matches!(leased, Leased::Taken | Leased::Held).then_some(tag)
        })
    }

    /// Keeps a line that was taken.
    pub(crate) fn keep(&self, name: &str, tag: u16, call: CallId, until: Mono) -> bool {
        self.memory.leases(self.tables.lines).renew(self.key(name, tag), call.0, until, self.now)
    }

    /// Gives a line back; a second time nothing happens.
    pub(crate) fn give_back(&self, name: &str, tag: u16, call: CallId) -> bool {
        self.memory.leases(self.tables.lines).release(self.key(name, tag), call.0)
    }

    /// The trunks of a route in the order they are tried: after the one used last with a memory.
    pub(crate) fn order<'r>(&self, route: &'r Route, calls: &Calls) -> impl Iterator<Item = u32> + use<'r> {
        let last = route.memory.then(|| self.last_trunk(route)).flatten();
        let is_last = |&&trunk: &&u32| last.is_some() && calls.trunk(trunk).map(|t| t.tag) == last;
        let start = route.trunks.iter().position(|t| is_last(&t)).map_or(0, |i| i + 1);
        let (before, after) = route.trunks.split_at_checked(start).unwrap_or((&route.trunks, &[]));
        after.iter().chain(before).copied()
    }

    fn last_trunk(&self, route: &Route) -> Option<u64> {
        let key = self.key(&route.name, tag::MEMORY);
        let record = self.memory.records(self.tables.memory).get(key, self.now)?;
        record.values.first().copied()
    }

    /// Remembers the trunk that a route used.
    pub(crate) fn remember(&self, route: &Route, trunk: &Trunk) {
        let (key, table) = (self.key(&route.name, tag::MEMORY), self.memory.records(self.tables.memory));
        let until = Some(self.now.mono + MEMORY);
        if table.enter(key, &[trunk.tag], until, self.now) == Entered::Exists {
            table.set(key, 0, trunk.tag, self.now);
            table.renew(key, until, self.now);
        }
    }

    /// Remembers that an extension made an emergency call.
    pub(crate) fn expect_call_back(&self, extension: ExtensionId) {
        let key = self.key(extension.as_str(), tag::CALL_BACK);
        // With a full window an older call is remembered, which is near enough: eight within the hour.
        let _ = self.memory.windows(self.tables.notices).record(key, CALL_BACKS, self.now);
    }

    /// Whether an extension made an emergency call within the hour.
    pub(crate) fn expects_call_back(&self, extension: ExtensionId) -> bool {
        let key = self.key(extension.as_str(), tag::CALL_BACK);
        self.memory.windows(self.tables.notices).peek(key, CALL_BACKS, self.now).used > 0
    }

    /// Whether a full trunk is to be told now.
    pub(crate) fn tells_busy(&self, name: &str) -> bool {
        let once = Limit { at_most: 1, per: TELL_EVERY };
        let key = self.key(name, tag::TRUNK_BUSY);
        let told = self.memory.windows(self.tables.notices).record(key, once, self.now);
        !matches!(told, Recorded::Full { .. })
    }

    /// The live calls.
    pub(crate) fn live(&self) -> Live<'a> {
        Live::new(self.memory, self.tables.calls, self.now)
    }
}

const CALL_BACKS: Limit = Limit { at_most: 8, per: CALL_BACK };

/// How a limit is counted.
enum Counted {
    Exact(Limit),
    Rate(Limit),
}

impl Counted {
    fn of(limit: CallLimit) -> Self {
        let per = limit.within.get();
        match limit.calls {
            at_most @ 0..=EXACT => Self::Exact(Limit { at_most, per }),
            at_most @ ..=RATE => Self::Rate(Limit { at_most, per }),
            // So many parts of the time, and of the calls rounded down, that a part can be counted: all parts
            // together never let more pass.
            calls => {
                let parts = calls.div_ceil(RATE);
                Self::Rate(Limit { at_most: calls / parts, per: per / parts })
            }
        }
    }
}

/// Whose lines are counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lines<'a> {
    pub(crate) name: &'a str,
    base: u16,
}

impl<'a> Lines<'a> {
    pub(crate) fn of(extension: &'a Extension) -> Self {
        Self { name: extension.id.as_str(), base: tag::EXTENSION_LINES }
    }

    pub(crate) fn trunk(trunk: &'a Trunk) -> Self {
        Self { name: &trunk.name, base: tag::TRUNK_LINES }
    }

    /// The keys a limit needs, each with its share of it.
    fn shares(&self, limit: u32) -> impl Iterator<Item = (u16, u32)> + use<> {
        let full = (0..limit / LINES).map(|_| LINES);
        let rest = Some(limit % LINES).filter(|&n| n > 0);
        (self.base..).zip(full.chain(rest))
    }
}

/// A name in values of 48 bits: its bytes, and its length in the last one.
pub(crate) fn name_fields(name: &str) -> [u64; NAME_FIELDS] {
    let mut bytes = [0_u8; 6 * NAME_FIELDS];
    bytes.iter_mut().zip(name.bytes()).for_each(|(to, c)| *to = c);
    core::array::from_fn(|i| {
        let part = bytes.iter().skip(6 * i).take(6);
        part.fold(0, |value, &c| value << 8 | u64::from(c))
    })
}

/// Back from [`name_fields`]; `None` for values that hold no name of an extension.
pub(crate) fn name_of(fields: &[u64]) -> Option<ExtensionId> {
    let bytes = fields.iter().take(NAME_FIELDS).flat_map(|value| value.to_be_bytes().into_iter().skip(2));
    let text: arrayvec::ArrayVec<u8, { 6 * NAME_FIELDS }> = bytes.take_while(|&c| c != 0).collect();
    core::str::from_utf8(&text).ok()?.parse().ok()
}

fn lock(values: &[u64], until: Option<Mono>) -> Option<Block> {
    let (&since, name) = values.split_first()?;
    let extension = name_of(name)?;
    Some(Block {
        scope: BlockScope::Outbound(extension),
        reason: Reason::FrequencyLocked,
        since: Mono::from_millis(since),
        until,
        account: Label::new(extension.as_str()),
    })
}
