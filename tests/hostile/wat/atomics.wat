;; The attack: atomic instructions, for which this engine has no code (GHSA-2674-w29h-wqvj).
(func (export "lockgate:connector/source@0.1.0#check") (param i32 i32) (result i32)
  (drop (memory.atomic.notify (i32.const 0) (i32.const 1)))
  (drop (i32.atomic.rmw.add (i32.const 0) (i32.const 1)))
  (i32.const 8192))
