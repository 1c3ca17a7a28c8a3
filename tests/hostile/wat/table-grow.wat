;; The attack: a table is grown to 4 G elements, and refusals ignored.
(table $t 1 funcref)
(func (export "lockgate:connector/source@0.1.0#check") (param i32 i32) (result i32)
  (if (i32.ne (table.grow $t (ref.null func) (i32.const -2)) (i32.const -1)) (then (unreachable)))
  (loop $l
    (br_if $l (i32.ne (table.grow $t (ref.null func) (i32.const 10000)) (i32.const -1))))
  (if (i32.gt_u (table.size $t) (i32.const 200000)) (then (unreachable)))
  ;; Beyond its end.
  (drop (table.get $t (i32.const 200000)))
  (i32.const 8192))
