;; The attack: a start function that never returns, so that instantiation does not.
(func $start (loop $l (br $l)))
(start $start)
