//! Thread-local packing buffers. They hold shares, so they are wiped when they grow and when the thread ends.
#![allow(unsafe_code)]

use std::cell::RefCell;
use zeroize::Zeroize;

/// Eight ring elements on one cache line, so that packed panels start on a vector boundary.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Line([u64; 8]);

/// A growing buffer of ring elements, aligned to 64 bytes.
pub(super) struct Scratch {
    lines: Vec<Line>,
}

impl Scratch {
    const fn new() -> Self {
        Self { lines: Vec::new() }
    }

    /// At least `len` elements; the contents are whatever an earlier product left.
    pub(super) fn elements(&mut self, len: usize) -> &mut [u64] {
        let lines = len.div_ceil(8);
        if self.lines.len() < lines {
            self.wipe();
            self.lines = vec![Line([0; 8]); lines];
        }
        // SAFETY: `Line` is `repr(C)` over `[u64; 8]` with a size of 64 bytes and no padding, so the vector is a
        // sequence of `8 * len` initialised `u64`, borrowed mutably for as long as the result lives.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast::<u64>(), self.lines.len() * 8) }
    }

    fn wipe(&mut self) {
        for line in &mut self.lines {
            line.0.zeroize();
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.wipe();
    }
}

/// The buffers of one thread.
pub(super) struct Buffers {
    /// The left factor, where it cannot be read in place.
    pub(super) left: Scratch,
    /// Panels of the right factor.
    pub(super) right: Scratch,
    pub(super) packing: PackBuffers,
}

/// What packing itself needs.
pub(super) struct PackBuffers {
    /// Lines waiting to be transposed.
    pub(super) lines: Scratch,
    /// Parts of images.
    pub(super) cells: Scratch,
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = const {
        RefCell::new(Buffers {
            left: Scratch::new(),
            right: Scratch::new(),
            packing: PackBuffers { lines: Scratch::new(), cells: Scratch::new() },
        })
    };
}

/// Runs `work` with the buffers of this thread. `work` must not start another product on this thread.
pub(super) fn with_buffers<R>(work: impl FnOnce(&mut Buffers) -> R) -> R {
    BUFFERS.with_borrow_mut(work)
}
