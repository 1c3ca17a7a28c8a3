;; The attack: a message whose text is said to be 4 GiB long.
(import "lockgate:connector/logging@0.1.0" "log" (func $log (param i32 i32 i32)))
(func (export "lockgate:connector/source@0.1.0#check") (param i32 i32) (result i32)
  (call $log (i32.const 0) (i32.const 16) (i32.const -1))
  (i32.const 8192))
