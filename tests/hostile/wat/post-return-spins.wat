;; The attack: the function that is called after the answer was taken never returns.
(func (export "cabi_post_lockgate:connector/source@0.1.0#check") (param i32)
  (loop $l (br $l)))
