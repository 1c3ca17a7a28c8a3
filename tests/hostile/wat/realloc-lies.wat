;; The attack: room for an argument, said to be beyond the end of memory.
(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const -16))
