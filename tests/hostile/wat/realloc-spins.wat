;; The attack: the function that the host calls for room to put an argument never returns.
(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
  (loop $l (br $l)) (unreachable))
