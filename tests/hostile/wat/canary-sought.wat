;; The attack, second half: memory that is fresh is searched for what another left in it.
(memory (export "memory") 256)
(func (export "lockgate:connector/source@0.1.0#check") (param i32 i32) (result i32)
  (local $at i32)
  (drop (memory.grow (i32.const 1)))
  (local.set $at (i32.const 65536))
  (loop $l
    (if (i64.ne (i64.load (local.get $at)) (i64.const 0)) (then (unreachable)))
    (local.set $at (i32.add (local.get $at) (i32.const 8)))
    (br_if $l (i32.lt_u (local.get $at) (i32.const 16842752))))
  (i32.const 8192))
