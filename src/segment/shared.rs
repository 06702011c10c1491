//! Types that may live in a mapping which other processes write at any time.

use core::mem::size_of;
use core::sync::atomic::{AtomicU32, AtomicU64};

use crossbeam_utils::CachePadded;

use crate::sync::condvar::Condvar;
use crate::sync::event::Event;
use crate::sync::latch::{Latch, Text};
use crate::sync::life::RealLife;
use crate::sync::mem::{Mem, Real};
use crate::sync::mutex::Mutex;

/// A type that may be looked at through `&Self` in shared memory.
///
/// # Safety
/// For the implementing type:
/// - every byte pattern is a valid value, all-zero among them (the first state);
/// - no byte of it is ever read or written except by atomic accesses, by the
///   kernel, or by the C library through a raw pointer: it has no plain field;
/// - it is `repr(C)` or `repr(transparent)`, and has no pointer, reference or
///   `usize`: a value means the same in every process;
/// - it does not need `Drop`: a mapping is left without notice.
///
/// Do not write `unsafe impl` for a struct of such fields: [`shared!`] does it.
pub(crate) unsafe trait Shared: Sync {}

// SAFETY: an atomic word of fixed width is all that the trait asks for.
unsafe impl Shared for AtomicU32 {}

// SAFETY: as AtomicU32.
unsafe impl Shared for AtomicU64 {}

// SAFETY: an array has no bytes but those of its elements.
unsafe impl<T: Shared, const N: usize> Shared for [T; N] {}

// SAFETY: repr(C); it adds only alignment and padding, which nobody reads.
unsafe impl<T: Shared> Shared for CachePadded<T> {}

// SAFETY:
// - It is an array of atomic words: any bytes are valid, zero is the first state.
// - The mutex that the C library keeps in them is touched by its owning thread and
//   by the kernel, through a raw pointer; peers load and compare-exchange one word.
unsafe impl Shared for RealLife {}

/// Implements [`Shared`] for a primitive of `sync`, which cannot name this trait: the
/// layer is below. The size shows that it consists of the words it is told to.
macro_rules! primitive {
    ($name:ident [$($n:ident)?] $size:expr) => {
        // SAFETY:
        // - Its fields are words of `M` and arrays of them (`sync` has no plain field
        //   in a shared struct), and those are `Shared`; it has no `Drop`.
        unsafe impl<M: Mem $(, const $n: usize)?> Shared for $name<M $(, $n)?>
        where
            M::U32: Shared,
            M::U64: Shared,
        {
        }
        const _: () = {
            $(const $n: usize = 3;)?
            assert!(size_of::<$name<Real $(, $n)?>>() == $size);
        };
    };
}
primitive!(Mutex [] 8);
primitive!(Condvar [] 4);
primitive!(Event [] 8);
primitive!(Latch [N] 8 * (1 + 2 * N));
primitive!(Text [N] 8 * (1 + 2 * N));

/// Compiles only for shared types; for the use of [`shared!`].
pub(crate) const fn assert_shared<T: Shared>(_field: &T) {}

/// Implements [`Shared`] for a `repr(C)` struct whose fields all are [`Shared`].
///
/// Every field has to be named (the compiler refuses a list that leaves one out),
/// and the type of each is checked:
///
/// ```ignore
/// shared!(Header { magic, version });             // struct Header
/// shared!(Slot<M> { life, state });               // struct Slot<M: Mem>
/// shared!(Table<M, const N> { slots, scanned });  // struct Table<M: Mem, const N: usize>
/// shared!(Killing { 0 });                         // struct Killing(AtomicU32)
/// ```
///
/// A generic struct is `Shared` when the words of its memory are.
macro_rules! shared {
    ($name:ident { $($field:tt),* $(,)? }) => {
        $crate::segment::shared::shared!(@ [] [] [$name] $($field)*);
    };
    ($name:ident <$memory:ident> { $($field:tt),* $(,)? }) => {
        $crate::segment::shared::shared!(
            @ [<$memory: $crate::sync::mem::Mem>]
            [where
                $memory::U32: $crate::segment::shared::Shared,
                $memory::U64: $crate::segment::shared::Shared,
                $memory::Life: $crate::segment::shared::Shared]
            [$name<$memory>] $($field)*
        );
    };
    ($name:ident <$memory:ident, const $n:ident> { $($field:tt),* $(,)? }) => {
        $crate::segment::shared::shared!(
            @ [<$memory: $crate::sync::mem::Mem, const $n: usize>]
            [where
                $memory::U32: $crate::segment::shared::Shared,
                $memory::U64: $crate::segment::shared::Shared,
                $memory::Life: $crate::segment::shared::Shared]
            [$name<$memory, $n>] $($field)*
        );
    };
    ($name:ident <$memory:ident, const $n:ident, const $m:ident> { $($field:tt),* $(,)? }) => {
        $crate::segment::shared::shared!(
            @ [<$memory: $crate::sync::mem::Mem, const $n: usize, const $m: usize>]
            [where
                $memory::U32: $crate::segment::shared::Shared,
                $memory::U64: $crate::segment::shared::Shared,
                $memory::Life: $crate::segment::shared::Shared]
            [$name<$memory, $n, $m>] $($field)*
        );
    };
    (@ [$($generics:tt)*] [$($bounds:tt)*] [$name:ident $($arguments:tt)*] $($field:tt)*) => {
        const _: () = {
            #[allow(dead_code)]
            const fn fields $($generics)* (this: &$name $($arguments)*) $($bounds)* {
                // No `..`: a field that is not named here is a compile error.
                let $name { $($field: _),* } = this;
                $($crate::segment::shared::assert_shared(&this.$field);)*
            }
            // SAFETY:
            // - `fields` compiles, so every field of the struct is `Shared`, and a
            //   struct of such fields keeps all the obligations but two:
            // - `segment::map` refuses, at compile time, bodies that need `Drop`;
            // - without `repr(C)` the offsets could differ between builds, not
            //   within one, and the fingerprint holds builds apart.
            #[allow(unsafe_code)]
            unsafe impl $($generics)* $crate::segment::shared::Shared for $name $($arguments)* $($bounds)* {}
        };
    };
}
pub(crate) use shared;

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C)]
    struct Row<M: Mem> {
        state: CachePadded<M::U64>,
        text: [M::U32; 3],
    }
    shared!(Row<M> { state, text });

    #[repr(C)]
    struct Rows<M: Mem, const N: usize> {
        rows: [Row<M>; N],
        life: M::Life,
    }
    shared!(Rows<M, const N> { rows, life });

    #[repr(transparent)]
    struct Killing(AtomicU32);
    shared!(Killing { 0 });

    #[test]
    fn the_macro_takes_all_shapes() {
        const fn shared<T: Shared>() {}
        shared::<Row<Real>>();
        shared::<Rows<Real, 4>>();
        shared::<Killing>();
    }
}
