;; The attack, first half: a secret is left all over memory and tables.
(memory (export "memory") 256)
(func (export "lockgate:connector/source@0.1.0#check") (param i32 i32) (result i32)
  (local $at i32)
  (local.set $at (i32.const 65536))
  (loop $l
    (i64.store (local.get $at) (i64.const 0x5ec4e75ec4e75ec4))
    (local.set $at (i32.add (local.get $at) (i32.const 8)))
    (br_if $l (i32.lt_u (local.get $at) (i32.const 16777216))))
  (drop (memory.grow (i32.const 1)))
  (i64.store (i32.const 16777216) (i64.const 0x5ec4e75ec4e75ec4))
  (i32.const 8192))
