//! The calls that are under way, as the tables remember them.

use core::time::Duration;

use arrayvec::ArrayVec;
use pbx_core::table::{Block as Memory, Entered, Key, Record, Records, RecordsId};
use pbx_core::{CallId, ExtensionId, Mono, Now};

use crate::call::TRUNKS;
use crate::usage::{NAME_FIELDS, name_fields, name_of};

/// Values of a record.
pub(crate) const FIELDS: usize = TAGS + TRUNKS;

/// Places of the values. The state is one of them, so that it changes at once.
const STATE: usize = 0;
const CALL_LOW: usize = 1;
const CALL_HIGH: usize = 2;
const ANSWERED_AT: usize = 3;
const WARN: usize = 4;
const MAX: usize = 5;
const NAME: usize = 6;
const TAGS: usize = NAME + NAME_FIELDS;

/// A call under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LiveCall {
    pub(crate) call: CallId,
    pub(crate) state: CallState,
    /// When it was answered.
    pub(crate) answered_at: Option<Mono>,
    /// How long it may last from its answer.
    pub(crate) max: Option<Duration>,
    /// How long after its answer the warning is due.
    pub(crate) warn: Option<Duration>,
    /// Who is responsible.
    pub(crate) extension: Option<ExtensionId>,
    /// The trunks it may be offered to, in order.
    pub(crate) trunks: ArrayVec<u64, TRUNKS>,
}

/// What changes while a call is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CallState {
    pub(crate) emergency: bool,
    pub(crate) inbound: bool,
    /// The warning was given.
    pub(crate) warned: bool,
    /// Its end was told.
    pub(crate) cut: bool,
    /// Which of its trunks it is offered to.
    pub(crate) attempt: u8,
    /// The line of the extension that it holds.
    pub(crate) extension_line: Option<u16>,
    /// The line of the trunk that it holds.
    pub(crate) trunk_line: Option<u16>,
}

impl CallState {
    fn to_value(self) -> u64 {
        let flags = [self.emergency, self.inbound, self.warned, self.cut];
        let flags = flags.iter().rev().fold(0, |bits, &flag| bits << 1 | u64::from(flag));
        // Tags of lines are never 0.
        let line = |tag: Option<u16>| u64::from(tag.unwrap_or(0));
        flags | u64::from(self.attempt) << 8 | line(self.extension_line) << 16 | line(self.trunk_line) << 32
    }

    fn from_value(value: u64) -> Self {
        let flag = |n: u32| value >> n & 1 == 1;
        let [_, _, t1, t0, e1, e0, attempt, _] = value.to_be_bytes();
        let line = |bytes| Some(u16::from_be_bytes(bytes)).filter(|&tag| tag != 0);
        Self {
            emergency: flag(0),
            inbound: flag(1),
            warned: flag(2),
            cut: flag(3),
            attempt,
            extension_line: line([e1, e0]),
            trunk_line: line([t1, t0]),
        }
    }
}

impl LiveCall {
    pub(crate) const fn new(call: CallId) -> Self {
        Self {
            call,
            state: CallState {
                emergency: false,
                inbound: false,
                warned: false,
                cut: false,
                attempt: 0,
                extension_line: None,
                trunk_line: None,
            },
            answered_at: None,
            max: None,
            warn: None,
            extension: None,
            trunks: ArrayVec::new_const(),
        }
    }

    /// When it has lasted as long as it may; never for emergency calls.
    pub(crate) fn ends_at(&self) -> Option<Mono> {
        Some(self.answered_at? + self.max.filter(|_| !self.state.emergency)?)
    }

    /// When the warning is due.
    pub(crate) fn warns_at(&self) -> Option<Mono> {
        Some(self.answered_at? + self.warn.filter(|_| !self.state.emergency)?)
    }

    /// The trunk it is offered to.
    pub(crate) fn trunk(&self) -> Option<u64> {
        self.trunks.get(usize::from(self.state.attempt)).copied()
    }

    fn to_values(&self) -> [u64; FIELDS] {
        let mut out = [0; FIELDS];
        let name = self.extension.map(|e| name_fields(e.as_str())).unwrap_or_default();
        let [state, low, high, answered, warn, max, rest @ ..] = &mut out;
        *state = self.state.to_value();
        (*low, *high) = (self.call.0 & 0xffff_ffff_ffff, self.call.0 >> 48);
        *answered = self.answered_at.map_or(0, millis_of);
        (*warn, *max) = (millis(self.warn), millis(self.max));
        rest.iter_mut().zip(name.into_iter().chain(self.trunks.iter().copied())).for_each(|(to, v)| *to = v);
        out
    }

    fn from_record(record: &Record) -> Option<Self> {
        let value = |at: usize| record.values.get(at).copied();
        let some = |at| value(at).filter(|&v| v != 0);
        let tags = record.values.iter().skip(TAGS).take_while(|&&tag| tag != 0);
        Some(Self {
            call: CallId(value(CALL_LOW)? | value(CALL_HIGH)? << 48),
            state: CallState::from_value(value(STATE)?),
            answered_at: some(ANSWERED_AT).map(Mono::from_millis),
            warn: some(WARN).map(Duration::from_millis),
            max: some(MAX).map(Duration::from_millis),
            extension: record.values.get(NAME..).and_then(name_of),
            trunks: tags.take(TRUNKS).copied().collect(),
        })
    }
}

/// Milliseconds; 0 is no time, and no time is 0.
fn millis(length: Option<Duration>) -> u64 {
    length.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX).max(1))
}

fn millis_of(at: Mono) -> u64 {
    at.as_millis().max(1)
}

/// The table of live calls at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Live<'a> {
    memory: &'a Memory,
    id: RecordsId,
    now: Now,
}

impl<'a> Live<'a> {
    pub(crate) const fn new(memory: &'a Memory, id: RecordsId, now: Now) -> Self {
        Self { memory, id, now }
    }

    fn table(&self) -> Records<'a> {
        self.memory.records(self.id)
    }

    fn key(&self, call: CallId) -> Key {
        self.memory.key(&call.0.to_be_bytes())
    }

    /// The call of that number.
    pub(crate) fn get(&self, call: CallId) -> Option<LiveCall> {
        LiveCall::from_record(&self.table().get(self.key(call), self.now)?)
    }

    /// Remembers a call until `until`.
    pub(crate) fn enter(&self, call: &LiveCall, until: Mono) -> Entered {
        self.table().enter(self.key(call.call), &call.to_values(), Some(until), self.now)
    }

    /// Changes the state of a call from what was read; whether nobody else was quicker.
    pub(crate) fn change(&self, call: CallId, old: CallState, new: CallState) -> bool {
        self.table().replace(self.key(call), STATE, old.to_value(), new.to_value(), self.now)
    }

    /// Notes the answer; only the first counts.
    pub(crate) fn answer(&self, call: CallId) {
        let at = millis_of(self.now.mono);
        self.table().replace(self.key(call), ANSWERED_AT, 0, at, self.now);
    }

    /// Notes who is responsible, and how long the call may last therefore.
    pub(crate) fn hand_over(&self, call: &LiveCall) {
        let (key, table) = (self.key(call.call), self.table());
        let times = [(WARN, millis(call.warn)), (MAX, millis(call.max))];
        let name = call.extension.map(|e| name_fields(e.as_str())).unwrap_or_default();
        for (at, value) in times.into_iter().chain((NAME..).zip(name)) {
            table.set(key, at, value, self.now);
        }
    }

    /// Keeps a call until `until`.
    pub(crate) fn keep(&self, call: CallId, until: Mono) -> bool {
        self.table().renew(self.key(call), Some(until), self.now)
    }

    /// Forgets a call; whether it was known. Of several callers one is told so.
    pub(crate) fn forget(&self, call: CallId) -> bool {
        self.table().remove(self.key(call), self.now)
    }

    /// All calls.
    pub(crate) fn iter(&self) -> impl Iterator<Item = LiveCall> + use<'a> {
        self.table().iter(self.now).filter_map(|record| LiveCall::from_record(&record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_call_comes_back_as_it_was(
            call in any::<u64>(),
            flags in any::<[bool; 4]>(),
            (attempt, line, trunk_line) in any::<(u8, u16, u16)>(),
            (answered, warn, max) in any::<(u32, u32, u32)>(),
            name in "[A-Za-z0-9_.+*#-]{0,31}",
            tags in prop::collection::vec(1_u64..1 << 48, 0..=TRUNKS),
        ) {
            let some = |n: u32| Some(u64::from(n)).filter(|&n| n > 0);
            let [emergency, inbound, warned, cut] = flags;
            let nonzero = |tag| Some(tag).filter(|&t| t > 0);
            let (extension_line, trunk_line) = (nonzero(line), nonzero(trunk_line));
            let before = LiveCall {
                call: CallId(call),
                state: CallState { emergency, inbound, warned, cut, attempt, extension_line, trunk_line },
                answered_at: some(answered).map(Mono::from_millis),
                warn: some(warn).map(Duration::from_millis),
                max: some(max).map(Duration::from_millis),
                extension: name.parse().ok(),
                trunks: tags.into_iter().collect(),
            };
            let values = before.to_values();
            prop_assert!(values.iter().all(|v| *v < 1 << 48), "values have 48 bits");
            let mut layout = pbx_core::table::Layout::new(1);
            let id = layout.records(8, FIELDS);
            let memory = pbx_core::table::heap(layout.words());
            let now = Now::default();
            let block = Memory::create(memory, &layout, [7; 16], 0, now).unwrap();
            let live = Live::new(&block, id, now);
            prop_assert_eq!(live.enter(&before, Mono::from_secs(1)), Entered::New);
            prop_assert_eq!(live.get(before.call), Some(before));
        }
    }
}
