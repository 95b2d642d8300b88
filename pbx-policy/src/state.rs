//! Everything that an attacker can grow, in a fixed block of words.
//!
//! The tables of a [`State`] stand in one [`Block`](table::Block) of memory, which is the heap unless the
//! embedder brings memory that workers share or a mapped file. They are keyed by what is counted and about
//! whom, never by the place of a rule, so that a reload of the rules keeps every counter.

use core::fmt;
use core::time::Duration;

use pbx_core::table::{
    self, BansId, Key, Layout, Leased, LeasesId, Limit, RatesId, Ring, TableError, TriesId, WindowsId, Words,
};
use pbx_core::{AddrKey, Mono, Now, Source};

use crate::config::StateConfig;
use crate::lockout::Counter;
use crate::usage::{CallTables, Usage};

/// Version of what the tables mean.
const SCHEMA: u32 = 1;
/// Percent of the blocked list that automatic blocks cannot fill.
const MANUAL_SHARE: u8 = 25;
/// Most live registrations told apart behind one source; more do not make it more registered.
pub(crate) const REGISTRATIONS: u8 = 16;

/// What a key is about, beside the rules of automatic defence (1024 and above) and the counters of lockout
/// (0 to 63).
pub(crate) mod tag {
    /// The block of an address.
    pub(crate) const ADDRESS: u16 = 64;
    /// A time block of an address that sent too many packets and never proved itself.
    pub(crate) const HELD_RATE: u16 = 65;
    /// A time block of an address that failed too often and never proved itself.
    pub(crate) const HELD_LOCKOUT: u16 = 66;
    /// Offences of an address, for the ladder.
    pub(crate) const OFFENCES: u16 = 67;
    /// Live registrations of a source.
    pub(crate) const REGISTERED: u16 = 68;
    /// Live registrations of a pair of source and account.
    pub(crate) const BOUND: u16 = 69;
    /// Provisioned phones at a source.
    pub(crate) const PROVISIONED: u16 = 70;
    /// Devices of an account.
    pub(crate) const DEVICES: u16 = 71;
    /// A presentation of credentials.
    pub(crate) const PROOF: u16 = 72;
    /// That table pressure was told.
    pub(crate) const PRESSURE: u16 = 73;
    /// That the blocked list was merged.
    pub(crate) const MERGE: u16 = 74;
    /// That a refusal by the rules of an account was told.
    pub(crate) const REFUSED: u16 = 76;
    /// Names that are being tried from a source.
    pub(crate) const TRYING: u16 = 77;
    /// That time was kept.
    pub(crate) const TIMEKEEPER: u16 = 75;
}

/// The state behind a guard.
pub struct State {
    pub(crate) block: table::Block,
    pub(crate) tables: Tables,
}

/// The tables of the block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tables {
    /// Packets of sources, and their time blocks.
    pub(crate) packets: RatesId,
    /// Failures that count for minutes.
    pub(crate) short: TriesId,
    /// Failures that count for hours.
    pub(crate) long: TriesId,
    /// Offences that count for days.
    pub(crate) offences: WindowsId,
    /// What is to happen once in a while: retransmissions, notices.
    pub(crate) once: WindowsId,
    /// Different names that failed from a source.
    pub(crate) names: LeasesId,
    /// Devices of accounts.
    pub(crate) devices: LeasesId,
    /// Live registrations of sources.
    pub(crate) sources: LeasesId,
    /// The blocked list.
    pub(crate) bans: BansId,
    /// Blocks for a time, on evidence that may be forged.
    pub(crate) held: BansId,
    calls: CallTables,
}

impl Tables {
    fn lay_out(config: &StateConfig) -> (Layout, Self) {
        let mut layout = Layout::new(SCHEMA);
        let sources = config.registrations.saturating_mul(2);
        let tables = Self {
            packets: layout.rates(config.sources),
            short: layout.tries(config.offenders, Ring::R64),
            long: layout.tries(config.offenders, Ring::R64),
            offences: layout.windows(config.offenders, Ring::R8),
            once: layout.windows(config.offenders, Ring::R8),
            names: layout.leases(config.offenders, u8::try_from(crate::lockout::NAMES).unwrap_or(u8::MAX)),
            devices: layout.leases(config.registrations, 20),
            sources: layout.leases(sources, REGISTRATIONS),
            bans: layout.bans(config.bans, MANUAL_SHARE),
            held: layout.holds(config.bans),
            calls: CallTables::lay_out(&mut layout, config),
        };
        (layout, tables)
    }
}

/// A sender as the tables know it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sender {
    pub(crate) addr: AddrKey,
    pub(crate) key: Key,
    /// The /24 or /48 around it, which may be blocked as a whole or counted in its place.
    pub(crate) net_key: Key,
}

impl Sender {
    /// The key of its block.
    pub(crate) fn lock(&self) -> Key {
        self.key.tagged(tag::ADDRESS)
    }
}

impl State {
    /// Words of memory that the tables of `config` need.
    #[must_use]
    pub fn words(config: &StateConfig) -> usize {
        Tables::lay_out(config).0.words()
    }

    /// Fresh state on the heap. `secret` keys the hashes of the tables: 16 bytes that nobody can guess.
    ///
    /// # Errors
    /// None that memory of the right size can cause; see [`State::create`].
    pub fn new(config: &StateConfig, secret: [u8; 16], now: Now) -> Result<Self, TableError> {
        Self::create(table::heap(Self::words(config)), config, secret, 0, now)
    }

    /// Fresh state in `words`, whose content is lost. `boot` identifies the run of the machine that the
    /// monotonic clock counts in.
    ///
    /// # Errors
    /// When there are fewer words than [`State::words`] says.
    pub fn create(
        words: Words,
        config: &StateConfig,
        secret: [u8; 16],
        boot: u64,
        now: Now,
    ) -> Result<Self, TableError> {
        let (layout, tables) = Tables::lay_out(config);
        Ok(Self { block: table::Block::create(words, &layout, secret, boot, now)?, tables })
    }

    /// The state that stands in `words` already: memory of other workers, or a mapped file.
    ///
    /// # Errors
    /// When the words hold no state, or one of another version or size.
    pub fn attach(words: Words, config: &StateConfig, boot: u64, now: Now) -> Result<Self, TableError> {
        let (layout, tables) = Tables::lay_out(config);
        Ok(Self { block: table::Block::attach(words, &layout, boot, now)?, tables })
    }

    /// Everything, as bytes for backup and standby.
    #[must_use]
    pub fn snapshot(&self, now: Now) -> Vec<u8> {
        self.block.snapshot(now)
    }

    /// The state of a snapshot, on the heap. The time that passed since is taken from the civil clock.
    ///
    /// # Errors
    /// When the snapshot is damaged, foreign, or of another version or size.
    pub fn restore(config: &StateConfig, snapshot: &[u8], boot: u64, now: Now) -> Result<Self, TableError> {
        let (layout, tables) = Tables::lay_out(config);
        let words = table::heap(layout.words());
        Ok(Self { block: table::Block::restore(words, &layout, snapshot, boot, now)?, tables })
    }

    /// How often a table had no room. Growing numbers mean an attack, or tables that are too small.
    #[must_use]
    pub fn pressure(&self) -> u64 {
        let (b, t) = (&self.block, &self.tables);
        let windows = [t.offences, t.once].into_iter().map(|id| b.windows(id).pressure());
        let tries = [t.short, t.long].into_iter().map(|id| b.tries(id).pressure());
        let leases = [t.names, t.devices, t.sources].into_iter().map(|id| b.leases(id).pressure());
        let calls = t.calls.pressure(b);
        let rest =
            [b.rates(t.packets).pressure(), b.bans(t.bans).pressure(), b.bans(t.held).pressure(), calls];
        windows.chain(tries).chain(leases).chain(rest).fold(0, u64::saturating_add)
    }

    /// What calls use up, at `now`.
    pub(crate) const fn usage(&self, now: Now) -> Usage<'_> {
        Usage::new(&self.block, &self.tables.calls, now)
    }

    /// A sender as the tables know it: the address, and the /24 or /48 around it.
    pub(crate) fn sender(&self, source: &Source) -> Sender {
        let addr = source.key();
        let net = source.aggregates().last().copied().unwrap_or(addr);
        Sender { addr, key: self.block.key(&addr.to_bytes()), net_key: self.block.key(&net.to_bytes()) }
    }

    /// The key of an account.
    pub(crate) fn account(&self, account: &str) -> Key {
        self.block.key(account.as_bytes())
    }

    /// Whether something has not happened within `every` yet; answering makes it happen.
    pub(crate) fn once(&self, key: Key, every: Duration, now: Now) -> bool {
        let once = Limit { at_most: 1, per: every };
        // Without room to remember, what happens is taken for new.
        !matches!(self.block.windows(self.tables.once).record(key, once, now), table::Recorded::Full { .. })
    }

    /// Whether table pressure is to be told now; once a minute is enough.
    pub(crate) fn tells_pressure(&self, now: Now) -> bool {
        let key = self.block.key(b"pressure").tagged(tag::PRESSURE);
        self.once(key, Duration::from_secs(60), now)
    }

    /// The table of a counter.
    pub(crate) fn tries_of(&self, counter: &Counter) -> TriesId {
        if counter.is_short() { self.tables.short } else { self.tables.long }
    }

    /// The tries of a counter.
    pub(crate) fn tries(&self, counter: &Counter) -> table::Tries<'_> {
        self.block.tries(self.tries_of(counter))
    }

    /// Empties the counter with this key.
    pub(crate) fn forget(&self, key: Key, now: Now) {
        [self.tables.short, self.tables.long].iter().for_each(|&id| self.block.tries(id).forget(key, now));
    }

    /// Whether a live registration stands behind the sender.
    pub(crate) fn is_registered(&self, sender: &Sender, now: Now) -> bool {
        self.block.leases(self.tables.sources).used(sender.key.tagged(tag::REGISTERED), now) > 0
    }

    /// Whether a provisioned phone stands at the sender's address (B8).
    pub(crate) fn is_provisioned(&self, sender: &Sender, now: Now) -> bool {
        self.block.leases(self.tables.sources).used(sender.key.tagged(tag::PROVISIONED), now) > 0
    }

    /// Whether the account itself has a live registration at the sender's address.
    pub(crate) fn is_bound(&self, sender: &Sender, account: Key, now: Now) -> bool {
        let key = sender.key.with(account).tagged(tag::BOUND);
        self.block.leases(self.tables.sources).used(key, now) > 0
    }

    /// Notes that a phone at this address fetched its provisioning with the device's own credential.
    pub(crate) fn provisioned(&self, source: &Source, until: Mono, now: Now) -> bool {
        let key = self.sender(source).key.tagged(tag::PROVISIONED);
        self.hold(self.tables.sources, key, 1, 1, until, now)
    }

    /// Takes or prolongs a place; whether there was one.
    pub(crate) fn hold(
        &self,
        id: LeasesId,
        key: Key,
        holder: u64,
        limit: u32,
        until: Mono,
        now: Now,
    ) -> bool {
        let leased = self.block.leases(id).take(key, holder, limit, until, now);
        matches!(leased, Leased::Taken | Leased::Held)
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("block", &self.block).finish_non_exhaustive()
    }
}
