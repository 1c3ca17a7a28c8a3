;; The attack: an answer that lies beyond the end of memory.
(func (export "lockgate:connector/source@0.1.0#check") (param i32 i32) (result i32) (i32.const -8))
