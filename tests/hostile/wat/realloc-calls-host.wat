;; The attack: the host is called back while it puts an argument into memory.
(import "lockgate:connector/logging@0.1.0" "log" (func $log (param i32 i32 i32)))
(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
  (call $log (i32.const 0) (i32.const 0) (i32.const 0))
  (i32.const 16384))
