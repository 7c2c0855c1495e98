"""The catalogue: what data there is, where its copies lie, and what every run did. The bottom layer."""
