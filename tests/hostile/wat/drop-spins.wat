;; The attack: the destructor of a resource of its own never returns.
;; world: export dropping: interface { resource bomb { } }
(import "[export]dropping" "[resource-new]bomb" (func $new (param i32) (result i32)))
(import "[export]dropping" "[resource-drop]bomb" (func $drop (param i32)))
(func (export "dropping#[dtor]bomb") (param i32) (loop $l (br $l)))
(func (export "lockgate:connector/source@0.1.0#check") (param i32 i32) (result i32)
  (call $drop (call $new (i32.const 1)))
  (i32.const 8192))
