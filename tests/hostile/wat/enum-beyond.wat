;; The attack: a level of a message that there is not.
(import "lockgate:connector/logging@0.1.0" "log" (func $log (param i32 i32 i32)))
(func (export "lockgate:connector/source@0.1.0#check") (param i32 i32) (result i32)
  (call $log (i32.const 77) (i32.const 16) (i32.const 4))
  (i32.const 8192))
