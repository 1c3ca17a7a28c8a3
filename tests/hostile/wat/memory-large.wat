;; The attack: a memory that begins with 4 GiB.
(memory (export "memory") 65536)
