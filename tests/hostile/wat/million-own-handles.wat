;; The attack: handles to a resource of its own, which are the host's memory all the same.
;; world: export dropping: interface { resource bomb { } }
(import "[export]dropping" "[resource-new]bomb" (func $new (param i32) (result i32)))
(func (export "lockgate:connector/source@0.1.0#check") (param i32 i32) (result i32)
  (local $left i32)
  (local.set $left (i32.const 1000000))
  (loop $l
    (drop (call $new (i32.const 1)))
    (br_if $l (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
  (i32.const 8192))
