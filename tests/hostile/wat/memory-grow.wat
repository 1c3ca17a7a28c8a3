;; The attack: memory is grown page by page, then by as much as there can be, and refusals ignored.
(func (export "lockgate:connector/source@0.1.0#check") (param i32 i32) (result i32)
  (loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
  (if (i32.ne (memory.grow (i32.const 65535)) (i32.const -1)) (then (unreachable)))
  ;; Beyond its end.
  (drop (i32.load (i32.const -8)))
  (i32.const 8192))
