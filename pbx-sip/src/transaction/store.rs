//! A bounded store of things that live for a while: generational keys, and one deadline each.

use pbx_core::Mono;

use super::timer::Deadlines;

/// Names one thing of a [`Store`]; never names another one after that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    index: u32,
    generation: u32,
}

/// At most `limit` values of `T`, each found by its [`Key`] and each with at most one deadline. Memory grows
/// with the most that ever lived at once.
#[derive(Debug)]
pub(crate) struct Store<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    limit: usize,
    deadlines: Deadlines,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Store<T> {
    pub(crate) fn new(limit: usize) -> Self {
        let limit = limit.min(u32::MAX as usize);
        Self { slots: Vec::new(), free: Vec::new(), limit, deadlines: Deadlines::default() }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether [`Store::insert`] would refuse.
    pub(crate) fn is_full(&self) -> bool {
        self.len() >= self.limit
    }

    /// Keeps `value`; `None` when the store is full.
    pub(crate) fn insert(&mut self, value: T) -> Option<Key> {
        if self.is_full() {
            return None;
        }
        let index = match self.free.pop() {
            Some(index) => index,
            None => self.grow()?,
        };
        let slot = self.slots.get_mut(index as usize)?;
        slot.value = Some(value);
        Some(Key { index, generation: slot.generation })
    }

    fn grow(&mut self) -> Option<u32> {
        let index = u32::try_from(self.slots.len()).ok()?;
        self.slots.push(Slot { generation: 0, value: None });
        Some(index)
    }

    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        let slot = self.slots.get(key.index as usize).filter(|slot| slot.generation == key.generation)?;
        slot.value.as_ref()
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let slot = self.slots.get_mut(key.index as usize).filter(|slot| slot.generation == key.generation)?;
        slot.value.as_mut()
    }

    /// Takes the value out, and its deadline with it.
    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let slot = self.slots.get_mut(key.index as usize).filter(|slot| slot.generation == key.generation)?;
        let value = slot.value.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(key.index);
        self.deadlines.set(key.index, None);
        Some(value)
    }

    /// Gives the value a deadline, or none.
    pub(crate) fn arm(&mut self, key: Key, at: Option<Mono>) {
        if self.get(key).is_some() {
            self.deadlines.set(key.index, at);
        }
    }

    /// The earliest deadline.
    pub(crate) fn next_timeout(&self) -> Option<Mono> {
        self.deadlines.next()
    }

    /// One whose deadline has come. Its deadline stays: the caller arms it anew or removes it.
    pub(crate) fn due(&self, now: Mono) -> Option<Key> {
        let index = self.deadlines.due(now)?;
        let generation = self.slots.get(index as usize)?.generation;
        Some(Key { index, generation })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_never_names_a_successor() {
        let mut store = Store::new(1);
        let a = store.insert('a').unwrap();
        assert_eq!(store.insert('b'), None, "full");
        assert_eq!(store.remove(a), Some('a'));
        let b = store.insert('b').unwrap();
        assert_eq!((store.get(a), store.get(b)), (None, Some(&'b')));
        assert_eq!(store.remove(a), None);
        assert_eq!(store.len(), 1);
    }

    #[test]
    fn a_deadline_goes_with_its_value() {
        let mut store = Store::new(8);
        let a = store.insert('a').unwrap();
        store.arm(a, Some(Mono::from_secs(1)));
        assert_eq!(store.due(Mono::from_secs(1)), Some(a));
        store.remove(a);
        assert_eq!((store.next_timeout(), store.due(Mono::MAX)), (None, None));
        store.arm(a, Some(Mono::from_secs(1)));
        assert_eq!(store.next_timeout(), None, "the dead have no deadlines");
    }

    #[test]
    fn memory_follows_the_most_that_lived_at_once() {
        let mut store = Store::new(1_000);
        for _ in 0..10 {
            let keys: Vec<_> = (0..50).filter_map(|n| store.insert(n)).collect();
            keys.into_iter().for_each(|key| assert!(store.remove(key).is_some()));
        }
        assert_eq!((store.slots.len(), store.len()), (50, 0));
    }
}
