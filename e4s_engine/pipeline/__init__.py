"""The swap: what a call asks for, and the stages composed."""
