"""Change events of a products table, as Debezium captures them from a database."""
