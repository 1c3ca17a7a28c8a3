;; The attack: a message with half a surrogate pair, which is no UTF-8.
(import "lockgate:connector/logging@0.1.0" "log" (func $log (param i32 i32 i32)))
(data (i32.const 16) "a\ed\a0\80")
(func (export "lockgate:connector/source@0.1.0#check") (param i32 i32) (result i32)
  (call $log (i32.const 0) (i32.const 16) (i32.const 4))
  (i32.const 8192))
