//! Reserved tries: what an attempt holds while its secret is checked, and what becomes of it.

use core::hash::{Hash, Hasher};
use core::time::Duration;

use arrayvec::ArrayVec;
use pbx_core::table::{Begun as Reserved, Key, Leased, Limit, TriesId, Try};
use pbx_core::{Label, Mono, Now, Reason, SecurityEvent, Source};
use siphasher::sip::SipHasher13;

use crate::attempt::{Attempt, AuthKind, AuthOutcome};
use crate::blocklist::Offence;
use crate::decision::Decision;
use crate::lockout::{Counter, Counts, Covers, Subject};
use crate::rules::Rules;
use crate::state::{Sender, State, tag};

/// How long a check of a secret may take before its try counts as given up.
const CHECK: Duration = Duration::from_secs(30);
/// For how long a presentation of credentials is recognised: the life of a nonce.
const RETRANSMISSION: Duration = Duration::from_secs(300);
/// How long a registration lasts that does not say.
const EXPIRES: Duration = Duration::from_secs(3_600);
/// Most counters that one attempt reserves a try in.
const RESERVED: usize = 4;

/// Whom the counters of an attempt are about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subjects {
    pub(crate) sender: Sender,
    pub(crate) account: Key,
    name: Label,
    kind: AuthKind,
    source: Source,
    /// Whether the sender is known to receive at its address.
    pub(crate) proved: bool,
    /// Recognises a retransmission.
    proof: Option<Key>,
}

/// Why no try is left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoTry {
    pub(crate) reason: Reason,
    pub(crate) retry_at: Option<Mono>,
}

impl Subjects {
    pub(crate) fn new(state: &State, attempt: &Attempt<'_>) -> Self {
        let sender = state.sender(&attempt.source);
        Self {
            sender,
            account: state.account(attempt.account),
            name: Label::new(attempt.account),
            kind: attempt.kind,
            source: attempt.source,
            proved: attempt.address_is_proved(),
            proof: proof(state, &sender, attempt),
        }
    }

    /// The key of the pair of sender and account.
    pub(crate) fn pair(&self) -> Key {
        self.sender.key.with(self.account)
    }

    /// The key of the names that are being tried from the sender.
    fn trying(&self) -> Key {
        self.sender.key.tagged(tag::TRYING)
    }

    /// What a counter is keyed by.
    pub(crate) fn key(&self, counter: &Counter) -> Key {
        let subject = match counter.subject {
            Subject::Address => self.sender.key,
            Subject::Pair => self.pair(),
            Subject::Account => self.account,
        };
        subject.tagged(counter.id)
    }

    /// What the block of a counter is keyed by.
    pub(crate) fn lock(&self, counter: &Counter) -> Key {
        match counter.covers {
            Covers::Address => self.sender.lock(),
            _ => self.key(counter),
        }
    }

    /// The limit of a counter: stricter for who was blocked by it before, where the rules say so.
    fn limit(&self, state: &State, counter: &Counter, now: Now) -> Limit {
        let offender = counter.restart_at > 0 && state.offended(self.key(counter), counter.memory, now);
        if offender { counter.stricter() } else { counter.limit }
    }

    /// Whether this presentation was counted before; remembers it.
    pub(crate) fn is_repeated(&self, state: &State, now: Now) -> bool {
        self.proof.is_some_and(|proof| !state.once(proof, RETRANSMISSION, now))
    }

    /// Whether a try is left, without taking it.
    pub(crate) fn has_tries(&self, state: &State, counter: &Counter, now: Now) -> Result<(), NoTry> {
        if counter.counts == Counts::DistinctNames {
            let used = state.block.leases(state.tables.names).used(self.key(counter), now);
            let no = NoTry { reason: Reason::TriesInFlight, retry_at: None };
            return if used < counter.limit.at_most { Ok(()) } else { Err(no) };
        }
        let limit = self.limit(state, counter, now);
        match state.tries(counter).peek(self.key(counter), limit, now).retry_at {
            Some(at) => Err(NoTry { reason: counter.reason, retry_at: Some(at) }),
            None => Ok(()),
        }
    }

    /// Counts a failure that no secret was looked at for; whether it was the last one that is left.
    pub(crate) fn count_at_once(&self, state: &State, counter: &Counter, now: Now) -> bool {
        let (tries, limit) = (state.tries(counter), self.limit(state, counter, now));
        match tries.begin(self.key(counter), limit, CHECK, now) {
            Reserved::Go(reserved) => tries.fail(reserved, limit, now).full,
            _ => false,
        }
    }

    /// Creates the block of a full counter. The counter begins anew when the block ends.
    pub(crate) fn punish(
        &self,
        rules: &Rules,
        state: &State,
        counter: &Counter,
        decision: &mut Decision,
        now: Now,
    ) {
        let offence = Offence {
            key: self.lock(counter),
            scope: counter.scope(self.sender.addr),
            reason: counter.reason,
            account: if counter.subject == Subject::Address { Label::EMPTY } else { self.name },
            proved: self.proved,
            term: counter.term,
        };
        let punished = state.punish(&self.sender, &offence, rules.defence.ladder(), now);
        if punished.holds && counter.counts != Counts::DistinctNames {
            state.forget(self.key(counter), now);
            if counter.restart_at > 0 {
                state.offends(self.key(counter), counter.memory, now);
            }
        }
        let event = SecurityEvent::new(counter.event(self.kind), now.wall)
            .reason(counter.reason)
            .rule(Some(counter.rule()))
            .source(self.source)
            .account(self.name.as_str())
            .until(punished.block.until.map(|until| now.wall_at(until)));
        decision.event(event);
        punished.note(decision, self.source, now);
    }
}

/// What makes a presentation recognisable: everything that a retransmission repeats, and the sender.
fn proof(state: &State, sender: &Sender, attempt: &Attempt<'_>) -> Option<Key> {
    let key = |text: &str| state.block.key(text.as_bytes());
    let what = if attempt.answered && !attempt.proof.is_empty() {
        let p = &attempt.proof;
        key(p.nonce).with(key(p.nc)).with(key(p.cnonce)).with(key(p.response))
    } else if !attempt.answered && !attempt.transaction.is_empty() {
        key(attempt.account).with(key(attempt.transaction))
    } else {
        return None;
    };
    Some(sender.key.with(what).tagged(tag::PROOF))
}

/// A number for a key, as unpredictable as the key.
pub(crate) fn number(key: Key) -> u64 {
    let mut hasher = SipHasher13::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// An attempt whose secret is being checked. One that is dropped gives its try back after half a minute.
#[derive(Debug)]
#[must_use = "the outcome of the check is to be told to the guard"]
pub struct Ticket {
    pub(crate) subjects: Subjects,
    pub(crate) trusted: bool,
    /// Whether the name is no longer than a label shows.
    pub(crate) whole_name: bool,
    pub(crate) binding: Option<Binding>,
    held: ArrayVec<(u16, Held), RESERVED>,
}

/// What a reserved try is held as.
#[derive(Debug)]
enum Held {
    Try(TriesId, Try),
    /// A place among the names that are being tried from the source.
    Name,
}

/// What a registration binds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Binding {
    pub(crate) holder: u64,
    pub(crate) expires: Duration,
}

impl Ticket {
    pub(crate) fn new(state: &State, attempt: &Attempt<'_>, subjects: Subjects, trusted: bool) -> Self {
        Self {
            subjects,
            trusted,
            whole_name: subjects.name.as_str() == attempt.account,
            binding: binding(state, attempt),
            held: ArrayVec::new(),
        }
    }

    /// The account that is named, cut to what a label shows.
    pub(crate) fn name(&self) -> &str {
        self.subjects.name.as_str()
    }

    /// The kind of the attempt.
    pub(crate) const fn kind(&self) -> AuthKind {
        self.subjects.kind
    }

    /// Where the attempt came from.
    pub(crate) const fn source(&self) -> Source {
        self.subjects.source
    }

    /// Reserves a try in `counter`.
    pub(crate) fn reserve(&mut self, state: &State, counter: &Counter, now: Now) -> Result<(), NoTry> {
        let held = if counter.counts == Counts::DistinctNames {
            self.reserve_name(state, counter, now)?
        } else {
            Held::Try(state.tries_of(counter), self.reserve_try(state, counter, now)?)
        };
        let _ = self.held.try_push((counter.id, held));
        Ok(())
    }

    fn reserve_try(&self, state: &State, counter: &Counter, now: Now) -> Result<Try, NoTry> {
        let limit = self.subjects.limit(state, counter, now);
        let begin = |key| state.tries(counter).begin(key, limit, CHECK, now);
        match begin(self.subjects.key(counter)) {
            Reserved::Go(reserved) => Ok(reserved),
            Reserved::Refused { retry_at } => Err(NoTry { reason: counter.reason, retry_at: Some(retry_at) }),
            Reserved::Busy { retry_at } => {
                Err(NoTry { reason: Reason::TriesInFlight, retry_at: Some(retry_at) })
            }
            // No room for the sender: its network is counted as if it were one sender.
            _ => match begin(self.subjects.sender.net_key.tagged(counter.id)) {
                Reserved::Go(reserved) => Ok(reserved),
                _ => Err(NoTry { reason: Reason::Pressure, retry_at: Some(now.mono + CHECK) }),
            },
        }
    }

    /// Names being tried and names that failed are together no more than the limit. A name that is both counts
    /// twice here, which may refuse one too many and never one too few.
    fn reserve_name(&self, state: &State, counter: &Counter, now: Now) -> Result<Held, NoTry> {
        let names = state.block.leases(state.tables.names);
        let (failed, trying) = (self.subjects.key(counter), self.subjects.trying());
        let until = now.mono + CHECK;
        match names.take(trying, self.holder(), counter.limit.at_most, until, now) {
            // Without room to remember names, the other counters of the sender hold.
            Leased::Pressure => return Ok(Held::Name),
            Leased::Full { retry_at } => {
                return Err(NoTry { reason: Reason::TriesInFlight, retry_at: Some(retry_at) });
            }
            _ => {}
        }
        let others = names.used(trying, now).saturating_sub(1);
        if names.used(failed, now).saturating_add(others) < counter.limit.at_most {
            return Ok(Held::Name);
        }
        names.release(trying, self.holder());
        Err(NoTry { reason: Reason::TriesInFlight, retry_at: Some(until) })
    }

    fn holder(&self) -> u64 {
        number(self.subjects.account)
    }

    /// Gives every try back.
    pub(crate) fn give_back(&mut self, state: &State, now: Now) {
        for (_, held) in core::mem::take(&mut self.held) {
            self.release(state, held, false, now);
        }
    }

    /// Gives every try back after a success, which empties the counters that say so.
    pub(crate) fn succeed(&mut self, state: &State, counters: &[Counter], now: Now) {
        for (id, held) in core::mem::take(&mut self.held) {
            let cleared = counters.iter().any(|c| c.id == id && c.cleared);
            self.release(state, held, cleared, now);
        }
    }

    /// Counts a failure in every counter it concerns and gives the other tries back. Answers the counters whose
    /// last try this was.
    pub(crate) fn fail<'c>(
        &mut self,
        state: &State,
        counters: &'c [Counter],
        outcome: AuthOutcome,
        now: Now,
    ) -> ArrayVec<&'c Counter, RESERVED> {
        let mut full = ArrayVec::new();
        for (id, held) in core::mem::take(&mut self.held) {
            let Some(counter) = counters.iter().find(|c| c.id == id && c.counts(outcome)) else {
                self.release(state, held, false, now);
                continue;
            };
            if self.use_up(state, counter, held, now) {
                let _ = full.try_push(counter);
            }
        }
        full
    }

    /// Uses a try up; whether it was the last.
    fn use_up(&self, state: &State, counter: &Counter, held: Held, now: Now) -> bool {
        match held {
            Held::Try(id, reserved) => {
                let limit = self.subjects.limit(state, counter, now);
                state.block.tries(id).fail(reserved, limit, now).full
            }
            Held::Name => {
                let (key, names) = (self.subjects.key(counter), state.block.leases(state.tables.names));
                let until = now.mono + counter.limit.per;
                let _ = names.take(key, self.holder(), counter.limit.at_most, until, now);
                names.release(self.subjects.trying(), self.holder());
                names.used(key, now) >= counter.limit.at_most
            }
        }
    }

    fn release(&self, state: &State, held: Held, forget: bool, now: Now) {
        match held {
            Held::Try(id, reserved) => state.block.tries(id).succeed(reserved, forget, now),
            Held::Name => {
                _ = state.block.leases(state.tables.names).release(self.subjects.trying(), self.holder())
            }
        }
    }
}

/// What a registration binds, where the attempt is one.
fn binding(state: &State, attempt: &Attempt<'_>) -> Option<Binding> {
    let name = attempt.binding();
    let binds = attempt.kind == AuthKind::Registration && (!name.is_empty() || attempt.expires.is_some());
    binds.then(|| Binding {
        holder: number(state.block.key(name.as_bytes())),
        expires: attempt.expires.unwrap_or(EXPIRES),
    })
}
