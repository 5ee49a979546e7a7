//! SIMD kernels over ring elements, packed bits and bit streams.
//!
//! All values are `u64` elements of Z_2^64 and all arithmetic wraps. Every kernel exists as portable code and, on
//! x86-64, as AVX2 and AVX-512 code chosen at run time (see [`dispatch`]); all of them give the same result, bit for
//! bit. The functions with the suffix `_on` take the instruction set as their first argument: tests use them to run
//! every version that the CPU has.
//!
//! No kernel branches on a value or indexes memory by one, except through vector table lookups that take constant
//! time. Lengths are public. A length mismatch is an error of the calling code and panics with a message.

pub mod bits;
pub mod chacha;
pub mod dispatch;
pub mod elementwise;
pub mod gemm;
pub mod one_hot;
pub mod packing;

pub use dispatch::Isa;
pub use elementwise::{
    add, add_assign, add_scalar, dot_rows, dot_rows_minus, mask, mul, mul_add, mul_assign, mul_sub,
    neg_assign, rsub_assign, scale, scale_add, scale_rows, scale_rows_minus, shift_right, shift_right_into,
    sub, sub_assign,
};
pub use gemm::{ConvGeometry, Gemm, Modulus, Operand, Sign, Term, gemm, gemm52};
pub use one_hot::{DigitTables, compare_digits, one_hot};
pub use packing::{UnpackError, pack, pack_shifted, packed_len, unpack, unpack_add};
