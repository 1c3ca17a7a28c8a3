;; The attack: a list of 100,000 streams whose names are all the same 64 KiB of memory, so that a
;; guest of 13 MiB makes the host copy 6 GiB.
(memory (export "memory") 200)
(data (i32.const 16) "{}")
;; A stream has 68 bytes: its name at 0, its schema at 20, its extra at 60; the rest is nothing.
(func (export "lockgate:connector/source@0.1.0#discover") (param i32 i32) (result i32)
  (local $at i32) (local $left i32)
  (local.set $left (i32.const 100000))
  (local.set $at (i32.const 131072))
  (memory.fill (i32.const 32768) (i32.const 97) (i32.const 65536))
  (loop $l
    (i32.store (local.get $at) (i32.const 32768))
    (i32.store offset=4 (local.get $at) (i32.const 65536))
    (i32.store offset=20 (local.get $at) (i32.const 16))
    (i32.store offset=24 (local.get $at) (i32.const 2))
    (i32.store offset=60 (local.get $at) (i32.const 16))
    (i32.store offset=64 (local.get $at) (i32.const 2))
    (local.set $at (i32.add (local.get $at) (i32.const 68)))
    (br_if $l (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
  (i32.store (i32.const 8208) (i32.const 131072))
  (i32.store (i32.const 8212) (i32.const 100000))
  (i32.const 8200))
