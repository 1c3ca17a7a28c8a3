;; The attack: an exception thrown through the host.
(tag $thrown)
(func (export "lockgate:connector/source@0.1.0#check") (param i32 i32) (result i32)
  (throw $thrown))
