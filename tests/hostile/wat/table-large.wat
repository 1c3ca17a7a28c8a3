;; The attack: a table that begins with 4 G elements.
(table $t 4294967295 funcref)
