;; The attack: a heap that only a garbage collector could bound.
(type $cell (struct (field (mut i64))))
(func (export "lockgate:connector/source@0.1.0#check") (param i32 i32) (result i32)
  (loop $l (drop (struct.new $cell (i64.const 1))) (br $l))
  (i32.const 8192))
