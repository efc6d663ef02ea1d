"""Is it good? `lookstream evaluate`: both ends of the system, labelled pictures, figures with intervals."""
