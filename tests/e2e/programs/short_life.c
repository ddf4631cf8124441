/* short_life: ends at once. No C library start-up beyond what a static program needs. */
int main(void)
{
	return 0;
}
